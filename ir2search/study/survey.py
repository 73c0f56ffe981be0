"""An overview of the shipped studies and of the paper's networks, with their costs."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ir2search.errors import CandidateError
from ir2search.space import GROWING, SHRINKING, Candidate, SearchSpace, cheapest_first, field_of
from ir2search.study.loading import load_study
from ir2search.study.objectives import costs_of
from ir2search.study.schema import Study
from ir2search.study.shipped import shipped_studies
from ir2search.zoo import named_recipe, preset, presets

if TYPE_CHECKING:
    from ir2search.costs import Cost


@dataclass(frozen=True)
class StudySurvey:
    """A study that ships with the package.

    Attributes:
        name: of the study.
        file: its study file.
        purpose: the comment at the top of the file.
        data: the images that it uses, in words.
        trials: number of candidates that it trains.
        epochs: of all trials together, if no trial is stopped early.
        least_ops: OPs for one image of the cheapest network within the budget, among the corners
            of the space; None if there is none, or if OPs were not counted.
        most_ops: OPs of the most expensive one, or None.
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
        name: of the preset.
        candidate: the network.
        cost: its costs.
        epochs: of all stages of the paper's recipe together.
    """

    name: str
    candidate: Candidate
    cost: Cost
    epochs: int


def survey_studies(ops: bool = False) -> list[StudySurvey]:
    """The shipped studies, in alphabetical order.

    Args:
        ops: count the OPs of each study's networks too, which takes some seconds.
    """
    return [_survey(load_study(name), file, ops) for name, file in shipped_studies().items()]


def survey_presets() -> list[Preset]:
    """All presets with their costs."""
    from ir2search.costs import cost  # imports torch

    return [
        Preset(name, preset(name), cost(preset(name)), named_recipe(name).total_epochs)
        for name in presets()
    ]


def largest(space: SearchSpace) -> Candidate | None:
    """One of the deepest and widest candidates of a space; None if no corner is a network."""
    return next(_extremes(space, sizes=(True,)), None)


def _survey(study: Study, file: Path, with_ops: bool) -> StudySurvey:
    comment = itertools.takewhile(
        lambda line: line.startswith("#"), file.read_text(encoding="utf-8").splitlines()
    )
    ops = _ops_of_corners(study) if with_ops else []
    return StudySurvey(
        name=study.name,
        file=file,
        purpose=" ".join(line.removeprefix("#").strip() for line in comment),
        data="digits, included" if study.data.source == "digits" else "a folder, --data",
        trials=study.trials,
        epochs=study.all_epochs,
        least_ops=min(ops, default=None),
        most_ops=max(ops, default=None),
    )


def _ops_of_corners(study: Study) -> list[float]:
    """OPs of the corners of the space that are within the budget."""
    from ir2search.costs import cost

    side = study.data.size or Candidate().image[1]
    image = (1 if study.data.source == "digits" else 3, side, side)
    space = study.search_space.with_data(image, 10)
    distinct = {candidate.id: candidate for candidate in _extremes(space)}.values()
    costs = [costs_of(candidate, cost(candidate), study.costs) for candidate in distinct]
    return [each["ops"] for each in costs if study.over_budget(each) is None]


def _extremes(space: SearchSpace, sizes: tuple[bool, ...] = (False, True)) -> Iterator[Candidate]:
    """Corners of the space: the least and the most of `GROWING`, all ends of other parameters."""
    names = space.with_costs()
    for most in sizes:
        axes = [_ends(space, name, most) for name in names]
        for point in itertools.product(*axes):
            try:
                yield space.candidate(dict(zip(names, point, strict=True)))
            except CandidateError:
                continue


def _ends(space: SearchSpace, name: str, most: bool) -> Sequence[object]:
    values, field = cheapest_first(name, space.searched[name]), field_of(name)
    if field in GROWING:
        return values[-1:] if most else values[:1]
    return values[::-1] if most and field in SHRINKING else values
