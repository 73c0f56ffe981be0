"""Names of studies, which are also the names of the folders of their runs."""

from __future__ import annotations

import re
import unicodedata
from pathlib import Path

_GOOD = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
LONGEST = 100  # characters


def checked_name(name: str) -> str:
    """The name, if it can name a study.

    Raises:
        ValueError: it has other characters, or too many.
    """
    if len(name) > LONGEST:
        raise ValueError(f"must have at most {LONGEST} characters, but has {len(name):,}")
    if not _GOOD.fullmatch(name):
        raise ValueError(
            "must have only letters from a to z, digits, dots, dashes and underscores, and begin "
            f"with a letter or a digit, but got {name!r}"
        )
    return name


def name_of(file: Path) -> str:
    """The name of the study in a file: ``my-study`` for ``my study.toml``.

    Accents are left out, and other characters that a name cannot have become dashes.
    """
    plain = unicodedata.normalize("NFKD", file.stem).encode("ascii", "ignore").decode()
    return re.sub(r"[^A-Za-z0-9._-]+", "-", plain).strip("-._") or file.stem
