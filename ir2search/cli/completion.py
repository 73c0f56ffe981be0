"""What a shell offers for an argument that is begun; quick, as it is asked at each press of Tab."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path


def study_names(incomplete: str) -> list[str]:
    """Shipped studies, and study files."""
    from ir2search.study.shipped import shipped_studies

    return [*_begun(shipped_studies(), incomplete), *_paths(incomplete, "*.toml")]


def run_folders(incomplete: str) -> list[str]:
    """Folders of runs, and folders on the way to them."""
    return [
        str(path) if (path / "study.toml").exists() else f"{path}/"
        for path in map(Path, _paths(incomplete, "*"))
        if path.is_dir()
    ]


def network_names(incomplete: str) -> list[str]:
    """Presets, candidates' files, and folders."""
    from ir2search.zoo import presets

    folders = run_folders(incomplete)
    return [*_begun(presets(), incomplete), *_paths(incomplete, "*.json"), *folders]


def _begun(names: Iterable[str], incomplete: str) -> Iterator[str]:
    return (name for name in names if name.startswith(incomplete))


def _paths(incomplete: str, pattern: str) -> list[str]:
    """Paths that begin so, and whose names have this pattern."""
    folder, begun = _split(incomplete)
    found = sorted(path for path in folder.glob(pattern) if not path.name.startswith("."))
    return [str(path) for path in found if path.name.startswith(begun)]


def _split(incomplete: str) -> tuple[Path, str]:
    path = Path(incomplete or ".")
    if not incomplete or incomplete.endswith(("/", "\\")):
        return path, ""
    return path.parent, path.name
