"""Train members of the front again from further seeds, to see what is the seed's doing."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Annotated

import pandas as pd
import torch
from pydantic import Field
from pydantic.dataclasses import dataclass
from scipy.stats import ttest_ind
from torch import nn

from ir2search.data import ImageData
from ir2search.files import write_json
from ir2search.space import Candidate
from ir2search.training import Recipe, accuracy, load_network, train
from ir2search.training.checkpoint import BEST

SEEDS = "seeds"  # a trial's folder with one folder for each further seed
RESULT = "result.json"
SIGNIFICANCE = 0.05


@dataclass(frozen=True, kw_only=True, config={"extra": "forbid"})
class Confirm:
    """The ``[confirm]`` section of a study file.

    Attributes:
        seeds: from how many further seeds each member of the front is trained at the end.
    """

    seeds: Annotated[int, Field(strict=True, ge=1, le=100)] = 3


def confirm(
    candidate: Candidate,
    recipe: Recipe,
    data: ImageData,
    folder: Path,
    *,
    seeds: Sequence[int],
    device: torch.device,
    teacher: nn.Module | None,
    should_stop: Callable[[], bool],
) -> Iterator[tuple[int, float, float]]:
    """Train a candidate from further seeds, those that are not done yet.

    Args:
        candidate: the network.
        recipe: how.
        data: on which.
        folder: of its trial; each seed has a folder in it.
        seeds: of each training.
        device: where.
        teacher: see `train`.
        should_stop: likewise.

    Yields:
        The seed's number, from 1, and its accuracy on validation and test images.
    """
    test = None
    for number, seed in enumerate(seeds, 1):
        own = folder / SEEDS / str(number)
        if (own / RESULT).exists():
            continue
        result = train(
            candidate,
            recipe,
            data,
            own,
            seed=seed,
            device=device,
            teacher=teacher,
            should_stop=should_stop,
        )
        test = test or data.read_test().to(device)
        network = load_network(candidate, own / BEST).to(device)
        validation, tested = result.best.validation_accuracy, accuracy(network, data, test)
        write_json(own / RESULT, {"accuracy": validation, "test_accuracy": tested})
        yield number, validation, tested


def indistinguishable(front: pd.DataFrame) -> list[list[int]]:
    """For each member of a front, the numbers of those whose accuracy may be the same.

    Welch's t-test of the mean validation accuracies over seeds (Welch, Biometrika 1947) finds no
    difference at 5%; of members with one seed nothing is said.

    Args:
        front: as `ir2search.front` gives it, with ``seed_accuracies``.
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
    return bool(ttest_ind(one, other, equal_var=False).pvalue > SIGNIFICANCE)
