"""The study files that ship with the package."""

from __future__ import annotations

from pathlib import Path

TEMPLATE = Path(__file__).with_name("template.toml")  # a study file that explains every key


def shipped_studies() -> dict[str, Path]:
    """The study files that ship with the package, by name."""
    package = Path(__file__).parent.parent
    installed, checkout = package / "_studies", package.parent / "studies"
    folder = installed if installed.is_dir() else checkout
    return {file.stem: file for file in sorted(folder.glob("*.toml"), key=lambda file: file.stem)}
