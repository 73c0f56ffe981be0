"""Completion of arguments in a shell. It must be fast: it runs at each press of Tab."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path


def study_names(incomplete: str) -> list[str]:
    """Included studies, and study files."""
    from ir2search.study.shipped import shipped_studies

    return [*_starting_with(shipped_studies(), incomplete), *_paths(incomplete, "*.toml")]


def run_folders(incomplete: str) -> list[str]:
    """Folders of runs, folders that may contain runs, and names of runs."""
    from ir2search.runs import runs_folder
    from ir2search.runs.layout import STUDY_FILE

    folders = [
        str(path) if (path / STUDY_FILE).exists() else f"{path}/"
        for path in map(Path, _paths(incomplete, "*"))
        if path.is_dir()
    ]
    names = sorted(file.parent.name for file in runs_folder().glob(f"*/{STUDY_FILE}"))
    return [*folders, *(n for n in _starting_with(names, incomplete) if n.isprintable())]


def network_names(incomplete: str) -> list[str]:
    """Presets, trained networks, files of candidates, and folders."""
    from ir2search.zoo import presets

    files = _paths(incomplete, "*.json")
    return [*_starting_with(presets(), incomplete), *files, *trained_names(incomplete)]


def trained_names(incomplete: str) -> list[str]:
    """Trained networks of the package, packed files, and folders."""
    from ir2search.zoo.shipped import shipped_names

    files = _paths(incomplete, "*.packed")
    return [*_starting_with(shipped_names(), incomplete), *files, *run_folders(incomplete)]


def _starting_with(names: Iterable[str], incomplete: str) -> Iterator[str]:
    return (name for name in names if name.startswith(incomplete))


def _paths(incomplete: str, pattern: str) -> list[str]:
    """Paths that start with the typed text, and whose printable names match a pattern."""
    path = Path(incomplete or ".")
    is_folder = not incomplete or incomplete.endswith(("/", "\\"))
    folder, start = (path, "") if is_folder else (path.parent, path.name)
    found = sorted(path for path in folder.glob(pattern) if not path.name.startswith("."))
    return [str(path) for path in found if path.name.startswith(start) and path.name.isprintable()]
