"""What the studies that ship and the paper's networks cost and take."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ir2search.costs import Cost, cost
from ir2search.errors import CandidateError
from ir2search.space import TAP, Candidate, Choice, SearchSpace
from ir2search.study.budget import over_budget, study_costs
from ir2search.study.schema import Study, load_study
from ir2search.study.shipped import shipped_studies
from ir2search.zoo import named_recipe, preset, presets

GROWING = ("depth", "width")  # like taps: the more of it, the higher every cost


@dataclass(frozen=True)
class StudySurvey:
    """A study that comes along.

    Attributes:
        name: by which it is run.
        file: its study file.
        purpose: what it says of itself in its first comment.
        data: which images it takes, in words.
        trials: how many candidates it trains.
        epochs: over all of them, where none is stopped early.
        least_ops: of the cheapest network, operations an image; None where the budget admits none
            of those that were looked at.
        most_ops: of the dearest one within the budget.
    """

    name: str
    file: Path
    purpose: str
    data: str
    trials: int
    epochs: int
    least_ops: float | None
    most_ops: float | None


@dataclass(frozen=True)
class Preset:
    """One of the paper's networks.

    Attributes:
        name: by which commands take it.
        candidate: the network.
        cost: what it costs.
        epochs: of the paper's recipe, all stages together.
    """

    name: str
    candidate: Candidate
    cost: Cost
    epochs: int


def survey_studies() -> list[StudySurvey]:
    """All that ship, by name."""
    return [_survey(load_study(name), file) for name, file in shipped_studies().items()]


def survey_presets() -> list[Preset]:
    """All presets with their costs."""
    return [
        Preset(name, preset(name), cost(preset(name)), named_recipe(name).total_epochs)
        for name in presets()
    ]


def _survey(study: Study, file: Path) -> StudySurvey:
    comment = itertools.takewhile(
        lambda line: line.startswith("#"), file.read_text(encoding="utf-8").splitlines()
    )
    side = study.data.size or Candidate().image[1]
    space = study.space.with_data((1 if study.data.source == "digits" else 3, side, side), 10)
    distinct = {candidate.id: candidate for candidate in _extremes(space)}.values()
    costs = [study_costs(study, candidate, cost(candidate)) for candidate in distinct]
    ops = [each["ops"] for each in costs if over_budget(study, each) is None]
    return StudySurvey(
        name=study.name,
        file=file,
        purpose=" ".join(line.removeprefix("#").strip() for line in comment),
        data="digits, which come along" if study.data.source == "digits" else "a folder, --data",
        trials=study.trials,
        epochs=study.trials * study.recipe.total_epochs,
        least_ops=min(ops, default=None),
        most_ops=max(ops, default=None),
    )


def _extremes(space: SearchSpace) -> Iterator[Candidate]:
    """Candidates with the least and the most of all that grows, for every end of the rest."""
    names = [name for name in space.searched if name != "threshold"]
    for most in (False, True):
        axes = [_ends(space, name, most) for name in names]
        for point in itertools.product(*axes):
            try:
                yield space.candidate(dict(zip(names, point, strict=True)))
            except CandidateError:
                continue


def _ends(space: SearchSpace, name: str, most: bool) -> tuple[object, ...]:
    domain = space.searched[name]
    ends = domain.values if isinstance(domain, Choice) else (domain.low, domain.high)
    if name in GROWING or name.startswith(TAP):
        return (max(ends) if most else min(ends),)
    return ends
