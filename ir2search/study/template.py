"""A study file to start from."""

from __future__ import annotations

import re
from pathlib import Path

import tomli_w

from ir2search.errors import InputError
from ir2search.study.schema import NAME
from ir2search.study.shipped import TEMPLATE

SOURCE = re.compile(r"^source = .*\n# path = .*\n", re.MULTILINE)


def write_template(file: str | Path, data: str | Path | None = None) -> None:
    """Write a study file in which every key is explained.

    Args:
        file: where; nothing may be there yet.
        data: folder of images that the study is to take; the digits that come along if left out.

    Raises:
        InputError: the file is there already or has a name that no run can have, or the data folder
            is not there.
    """
    file = Path(file)
    if file.exists():
        raise InputError(f"{file}: is there already; give another name")
    if not re.fullmatch(NAME, file.stem):
        raise InputError(f"{file}: name it with letters, digits, '.', '_' and '-' alone")
    if data is not None and not Path(data).is_dir():
        raise InputError(f"--data {data}: there is no such folder")
    text = TEMPLATE.read_text(encoding="utf-8")
    if data is not None:
        own = tomli_w.dumps({"source": "folder", "path": str(Path(data).resolve())})
        text = SOURCE.sub(lambda _: own, text)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, encoding="utf-8")
