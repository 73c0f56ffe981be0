"""Members of the front, trained again from further seeds: which differences are real?"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import pandas as pd

from ir2search.runs.backbones import shared_backbone
from ir2search.runs.layout import RESULT, SEEDS, trial_folder
from ir2search.search.executors.job import TrainingJob
from ir2search.seeds import derive_seed
from ir2search.space import Candidate
from ir2search.study.schema import Study

SIGNIFICANCE = 0.05


def further_seeds(
    study: Study, folder: Path, members: Sequence[tuple[int, Candidate]]
) -> Iterator[TrainingJob]:
    """The trainings of a front's members from further seeds that are still to be done.

    Args:
        study: says how many seeds.
        folder: of the run; each seed has a folder inside that of its trial.
        members: number and candidate of each trial on the front.
    """
    assert study.confirm is not None
    for number, candidate in members:
        for seed in range(1, study.confirm.seeds + 1):
            own = trial_folder(folder, number) / SEEDS / str(seed)
            if not (own / RESULT).exists():
                derived = derive_seed(study.seed, "confirm", candidate.id, seed)
                start = shared_backbone(study, folder, candidate, further_seed=seed)
                yield TrainingJob(number, candidate, own, seed=derived, start=start, tested=True)


def indistinguishable(front: pd.DataFrame) -> list[list[int]]:
    """For each member of a front, the members whose accuracy is not significantly different.

    The mean validation accuracies over seeds are compared by Welch's t-test (Welch, "The
    generalization of Student's problem ...", Biometrika 1947) at `SIGNIFICANCE`. Members with a
    single seed are not compared.

    Args:
        front: as `ir2search.front` returns it, with ``seed_accuracies``.

    Returns:
        Numbers of trials, one list for each row.
    """
    samples = {
        int(number): list(values)
        for number, values in zip(front["number"], front["seed_accuracies"], strict=True)
    }
    return [
        [other for other in samples if other != number and _may_be_same(own, samples[other])]
        for number, own in samples.items()
    ]


def _may_be_same(one: list[float], other: list[float]) -> bool:
    if min(len(one), len(other)) < 2:
        return False
    if len({*one, *other}) == 1:
        return True
    if len(set(one)) == len(set(other)) == 1:
        return False
    from scipy.stats import ttest_ind

    return bool(ttest_ind(one, other, equal_var=False).pvalue > SIGNIFICANCE)
