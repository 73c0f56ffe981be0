"""The code of modules and the storages that the user trusts, and the pages that were written here.

They are listed in the user's state folder, so that another person's run cannot change the list.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ir2search.errors import RunError
from ir2search.files import (
    LARGEST_FILE,
    check_regular,
    digest_of,
    locked,
    read_json,
    state_folder,
    write_json,
)

KINDS = ("code", "storages", "pages")
PATIENCE = 10.0  # seconds to wait for another process that writes the list

_logger = logging.getLogger(__name__)
_code: set[str] = set()  # trusted in this process, even if the list cannot be written
_storages: set[tuple[str, str]] = set()
_all_code = False


def trusts_code(digest: str) -> bool:
    """Whether the user trusts the code with this SHA-256, in hexadecimal digits."""
    return _all_code or digest in _code or digest in _read("code")


def trust_code(names: Mapping[str, str]) -> bool:
    """Trust code from now on.

    Args:
        names: names of modules by the SHA-256 of their source.

    Returns:
        Whether later processes trust it too; False if the list cannot be written.
    """
    _code.update(names)
    if all(digest in _read("code") for digest in names):
        return True
    return _add(lambda known: known["code"].update(names))


def trust_all_code() -> None:
    """Trust all code in this process only."""
    global _all_code
    _all_code = True


def trusts_storage(folder: Path, url: str) -> bool:
    """Whether the user trusts the storage with this URL, without a password, for a run's folder."""
    place = str(folder.resolve())
    urls = _read("storages").get(place, [])
    return (place, url) in _storages or (isinstance(urls, list) and url in urls)


def trust_storage(folder: Path, url: str) -> bool:
    """Trust the storage with this URL, without a password, for a run's folder from now on.

    Returns:
        Whether later processes trust it too; False if the list cannot be written.
    """
    if trusts_storage(folder, url):
        return True
    place = str(folder.resolve())
    _storages.add((place, url))
    return _add(lambda known: known["storages"].setdefault(place, []).append(url))


def trust_page(page: Path) -> None:
    """Trust a page that this process wrote, as long as its content stays the same."""
    _add(lambda known: known["pages"].update({str(page.resolve()): _digest(page)}))


def trusts_page(page: Path) -> bool:
    """Whether a page is as it was written here; a page of somebody else can run any script."""
    try:
        return _read("pages").get(str(page.resolve())) == _digest(page)
    except OSError:
        return False


def _digest(file: Path) -> str:
    check_regular(file, LARGEST_FILE)
    return digest_of(file)


def _file() -> Path:
    return state_folder() / "trust.json"


def _read(kind: str) -> dict[str, Any]:
    """One part of the list, one of `KINDS`; empty if there is no list."""
    try:
        file = _file()
        known = read_json(file) if file.exists() else {}
    except (OSError, RuntimeError):  # the home folder is missing or cannot be read
        return {}
    kept = known.get(kind, {}) if isinstance(known, dict) else None
    if not isinstance(kept, dict):
        raise RunError(f"{file}: damaged; remove it")
    return kept


def _add(change: Callable[[dict[str, Any]], object]) -> bool:
    try:
        with locked(state_folder(), PATIENCE):
            known = {kind: _read(kind) for kind in KINDS}
            change(known)
            write_json(_file(), known)
    except (OSError, RuntimeError) as error:
        _logger.warning("what you trust cannot be remembered: %s", error)
        return False
    return True
