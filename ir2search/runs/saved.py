"""The study in a run's folder: written when the run begins, and compared when it continues."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ir2search import text
from ir2search.errors import RunError
from ir2search.extensions import (
    FOLDER,
    SUMS,
    UserModule,
    checksums,
    read_modules_of_run,
    trust_modules,
    with_modules,
)
from ir2search.files import has_files, state_folder, write_text
from ir2search.runs.layout import STUDY_FILE
from ir2search.runs.names import runs_folder
from ir2search.study.loading import parse_study, read_values
from ir2search.study.schema import Study
from ir2search.study.serialise import definition, study_as_toml


def check_folder(folder: Path, study: Study) -> None:
    """Check that a folder is empty, or is the run of this study.

    The user chose to run this study, so the code of its modules is trusted from now on.

    Raises:
        RunError: the folder holds something else; nothing in it is changed.
    """
    trust_modules(study.modules)
    file = folder / STUDY_FILE
    if file.exists():
        _check_same(study, saved_study(folder), folder)
    elif has_files(folder):
        raise RunError(f"{folder}: holds files but no {STUDY_FILE}; choose another folder")


def write_study(folder: Path, study: Study) -> None:
    """Write a study, and the modules it names, into the folder of its run."""
    for module in study.modules:
        if module.source is not None:
            write_text(folder / module.saved_as(), module.source)
    if sums := checksums(study.modules):
        write_text(folder / FOLDER / SUMS, sums)
    write_text(folder / STUDY_FILE, study_as_toml(study))


def saved_study(folder: Path) -> Study:
    """Read the study of the run in a folder.

    Raises:
        RunError: there is no run in the folder, a module in it has changed, or the study needs a
            module that the user does not trust.
        StudyError: the file is not valid.
    """
    values, modules = _read(folder)
    with with_modules(folder, modules):
        return parse_study(values, str(folder / STUDY_FILE), modules)


def trust_run(folder: Path) -> tuple[UserModule, ...]:
    """Trust the modules of a run from now on, and return them; their code is not run.

    Raises:
        RunError: there is no run in the folder, a module cannot be read, or the user's file of
            what is trusted cannot be written.
    """
    _, modules = _read(folder)
    if not trust_modules(modules):
        raise RunError(f"{state_folder()}: cannot be written, so nothing is remembered there")
    return modules


def _read(folder: Path) -> tuple[dict[str, Any], tuple[UserModule, ...]]:
    """The values of a run's study file, and the modules that it names."""
    file = folder / STUDY_FILE
    if folder.is_file():
        raise RunError(f"{folder}: is a file, but a run is a folder such as runs/digits")
    if not file.is_file():
        places = {folder.parent, runs_folder()}
        near = sorted({each.parent.name for at in places for each in at.glob(f"*/{STUDY_FILE}")})
        hint = text.suggest(folder.name, near) if near else "start one with `ir2search run STUDY`"
        raise RunError(f"{folder}: no run in this folder; {hint}")
    values = read_values(file)
    return values, read_modules_of_run(folder, values.get("modules", ()))


def _check_same(study: Study, saved: Study, folder: Path) -> None:
    asked, made = definition(study), definition(saved)
    for name in asked.keys() | made.keys():
        if asked.get(name) != made.get(name):
            raise RunError(
                f"{folder}: made by another study file: {_difference(name, asked, made)}; "
                "choose another folder, or give the study another name"
            )


def _difference(name: str, asked: Mapping[str, Any], made: Mapping[str, Any]) -> str:
    new, old = asked.get(name), made.get(name)
    if isinstance(new, dict) and isinstance(old, dict):
        field = next(key for key in [*new, *old] if new.get(key) != old.get(key))
        return f"[{name}] {field} was {old.get(field)!r} and now is {new.get(field)!r}"
    return f"{name} was {old!r} and now is {new!r}"
