"""How many epochs to expect of a study."""

from __future__ import annotations

import math

from ir2search.runs.members import member_epochs
from ir2search.study.schema import Study


def expected_epochs(study: Study) -> int:
    """Epochs of all trials together, without further seeds.

    With rungs, one in ``factor`` trials goes on from each rung, as successive halving does (Li et
    al., "A system for massively parallel hyperparameter tuning", MLSys 2020). `Stop.epochs` is an
    upper limit.
    """
    if study.rungs is None:
        found = float(study.all_epochs)
    else:
        levels = study.rungs.levels(study.recipe.epochs)
        steps = [level - before for before, level in zip((0, *levels), levels, strict=False)]
        trials = (study.trials / study.rungs.factor**at for at in range(len(steps)))
        found = sum(step * count for step, count in zip(steps, trials, strict=True))
    return math.ceil(min(found, study.stop.epochs or math.inf))


def confirmed_epochs(study: Study) -> int:
    """Epochs of each tested network after the search: of further seeds, and of its own."""
    seeds = 0 if study.confirm is None else study.confirm.seeds
    return seeds * study.recipe.total_epochs + member_epochs(study)
