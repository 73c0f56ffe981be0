"""A run's folder: what is written where.

::

    runs/<study>/
      study.toml  environment.json     what was asked, and where it ran
      modules/                         the study author's code, where it names any; SHA256SUMS
      study.db                         Optuna's storage
      trials/<number>/                 candidate.json, cost.json, curve.jsonl, *.safetensors;
                                       latency.json, where the study asks for it
      backbones/<candidate id>/        shared, where the study asks for a warm start
      variants/<candidate id>/         what trials are compared with, see `variants`
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import tomli_w

from ir2search import text
from ir2search.errors import RunError
from ir2search.extensions import FOLDER, SUMS, check_copies, checksums
from ir2search.files import write_text
from ir2search.search.study import Resources, Study, TimedWith, load_study
from ir2search.space import TAP, Choice, Domain, SearchSpace

STUDY_FILE = "study.toml"
CACHE = ".cache"  # beside the runs: decoded images, times of networks
CURVE = "curve.jsonl"  # in a trial's folder, like what follows
LATENCY_FILE = "latency.json"
TEST_FILE = "test.json"
SEEDS = "seeds"  # one folder for each further seed,
RESULT = "result.json"  # with what it gave
# a study may be asked for more trials or seeds later, and moved to other machines
MAY_CHANGE = ("trials", "stop", "confirm", "resources")


def trial_folder(folder: Path, number: int) -> Path:
    """Where a trial's files lie."""
    return folder / "trials" / str(number)


def check_claim(folder: Path, study: Study) -> None:
    """Check that ``folder`` is free, or is the run of ``study``.

    Raises:
        RunError: it holds something else; nothing of it is changed.
    """
    file = folder / STUDY_FILE
    if file.exists():
        _check_same(study, saved_study(folder), folder)
    elif folder.exists() and any(path.name != ".lock" for path in folder.iterdir()):
        raise RunError(f"{folder}: holds files but no {STUDY_FILE}; choose another --runs folder")


def write_study(folder: Path, study: Study) -> None:
    """Make ``folder`` the run of ``study``."""
    for module in study.modules:
        if module.source is not None:
            write_text(folder / module.saved_as(), module.source)
    if sums := checksums(study.modules):
        write_text(folder / FOLDER / SUMS, sums)
    write_text(folder / STUDY_FILE, tomli_w.dumps(study_as_dict(study)))


def saved_study(folder: Path) -> Study:
    """The study that a run's folder was made by.

    Raises:
        RunError: it is no run's folder, or a module in it has changed.
    """
    if not (folder / STUDY_FILE).is_file():
        near = sorted(path.parent.name for path in folder.parent.glob(f"*/{STUDY_FILE}"))
        hint = text.near(folder.name, near) if near else "start one with `ir2search run STUDY`"
        raise RunError(f"{folder}: no run in this folder; {hint}")
    check_copies(folder)
    return load_study(folder / STUDY_FILE)


def definition(study: Study) -> dict[str, Any]:
    """What a study's trials depend on; what of a study file may change is not in it."""
    values = study_as_dict(study)
    values["data"].pop("path", None)  # a folder may move; its content is checked
    if study.modules:
        values["modules"] = [" ".join((each.stem, each.digest)).strip() for each in study.modules]
    return {name: value for name, value in values.items() if name not in MAY_CHANGE}


def study_as_dict(study: Study) -> dict[str, Any]:
    """The study as the values of a study file."""
    values: dict[str, Any] = study.model_dump(include={"name", "seed", "trials", "sampler"})
    if study.modules:
        values["modules"] = [module.saved_as() for module in study.modules]
    values["objectives"] = list(study.objectives)
    values["data"] = _without_none(asdict(study.data))
    values["space"] = _space_as_dict(study.space)
    if study.budget:
        values["budget"] = dict(study.budget)
    if study.latency != TimedWith():
        values["latency"] = asdict(study.latency)
    values["recipe"] = _without_none(asdict(study.recipe))
    if study.warm_start is not None:
        values["warm_start"] = asdict(study.warm_start)
    if study.rungs is not None:
        values["rungs"] = asdict(study.rungs)
    if limits := _without_none(asdict(study.stop)):
        values["stop"] = limits
    if study.confirm is not None:
        values["confirm"] = asdict(study.confirm)
    if study.resources != Resources():
        values["resources"] = asdict(study.resources)
    return values


def _space_as_dict(space: SearchSpace) -> dict[str, Any]:
    flat = {**space.fixed, **{name: _domain(domain) for name, domain in space.searched.items()}}
    values = {name: value for name, value in flat.items() if not name.startswith(TAP)}
    taps = {name.removeprefix(TAP): v for name, v in flat.items() if name.startswith(TAP)}
    return {**values, "taps": taps} if taps else values


def _domain(domain: Domain) -> Any:
    return list(domain.values) if isinstance(domain, Choice) else _without_none(asdict(domain))


def _without_none(values: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: _without_none(value) if isinstance(value, dict) else value
        for name, value in values.items()
        if value is not None
    }


def _check_same(study: Study, saved: Study, folder: Path) -> None:
    asked, made = definition(study), definition(saved)
    for name in asked.keys() | made.keys():
        if asked.get(name) != made.get(name):
            raise RunError(
                f"{folder}: made by another study file: {_difference(name, asked, made)}; "
                "choose another --runs folder or name the study otherwise"
            )


def _difference(name: str, asked: Mapping[str, Any], made: Mapping[str, Any]) -> str:
    new, old = asked.get(name), made.get(name)
    if isinstance(new, dict) and isinstance(old, dict):
        field = next(key for key in [*new, *old] if new.get(key) != old.get(key))
        return f"[{name}] {field} was {old.get(field)!r} and now is {new.get(field)!r}"
    return f"{name} was {old!r} and now is {new!r}"
