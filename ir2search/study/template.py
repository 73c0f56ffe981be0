"""A commented study file to start from."""

from __future__ import annotations

import re
from pathlib import Path

import tomli_w

from ir2search.errors import InputError
from ir2search.study.names import checked_name, name_of
from ir2search.study.shipped import TEMPLATE

SOURCE = re.compile(r"^source = .*\n# path = .*\n", re.MULTILINE)


def write_template(file: str | Path, data: str | Path | None = None) -> None:
    """Write a study file with a comment on every key.

    Args:
        file: the file to write; it must not exist.
        data: folder of the study's images; by default the digits that come with scikit-learn.

    Raises:
        InputError: the file exists, its name cannot name a run, or there is no such data folder.
    """
    file = Path(file)
    if file.exists():
        raise InputError(f"{file}: exists already; choose another name")
    try:
        checked_name(name_of(file))
    except ValueError as error:
        raise InputError(f"{file}: its name {error}") from None
    if data is not None and not Path(data).is_dir():
        raise InputError(f"data {data}: there is no such folder")
    text = TEMPLATE.read_text(encoding="utf-8")
    if data is not None:
        own = tomli_w.dumps({"source": "folder", "path": str(Path(data).resolve())})
        text = SOURCE.sub(lambda _: own, text)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, encoding="utf-8")
