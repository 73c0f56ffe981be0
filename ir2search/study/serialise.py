"""A study as the values of a study file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from ir2search.space import TAP, Choice, Domain, SearchSpace
from ir2search.study.schema import Study
from ir2search.study.sections import Resources, TimedWith

# a study may be asked for more trials or seeds later, and moved to other machines
MAY_CHANGE = ("trials", "stop", "confirm", "resources")


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
