"""Tables of learning curves, which the benchmarks of searches replay instead of training.

truth.py makes a table: a study file with a parquet file beside it. If a table has only some
networks of the study's space, each other point of the space stands for the nearest one.

A replicate draws for each candidate one of the seeds that it was trained from, which may be more
for some than for others. All methods get the same draw. The true front therefore contains
candidates with a favourable seed, like the front of any search.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy.spatial.distance import cdist

import ir2search as ir
from ir2search.search.samplers.ehvi.features import features
from ir2search.search.samplers.ehvi.gains import LEAST_ERROR
from ir2search.seeds import derive_seed
from ir2search.space import candidate_from_dict
from ir2search.study.schema import Study

DIGITS = Path(__file__).with_name("truth.toml")  # its table is the parquet file beside it
WHOLE = 100  # trainings to the end, after whose epochs a search ends
MARGIN = 0.1  # of the reference point beyond the worst values


@dataclass(frozen=True)
class Draw:
    """The learning curves of one replicate.

    Attributes:
        ids: of the candidates.
        errors: (candidates, epochs), the least error so far.
        accuracies: (candidates, epochs), the accuracy after each epoch.
        costs: (candidates), operations.
        others: (candidates, seeds - 1, epochs), errors with the seeds that were not drawn. No seed
            if candidates were trained from different numbers of seeds.
        guess: the error of guessing.
    """

    ids: tuple[str, ...]
    errors: np.ndarray
    accuracies: np.ndarray
    costs: np.ndarray
    others: np.ndarray
    guess: float

    @cached_property
    def rows(self) -> dict[str, int]:
        """A candidate's row by its id."""
        return {name: row for row, name in enumerate(self.ids)}

    @property
    def limit(self) -> int:
        """Epochs after which a search ends."""
        return WHOLE * self.errors.shape[1]

    def points(self, rows: np.ndarray, errors: np.ndarray) -> np.ndarray:
        """Scaled objectives; 0 and 1 are the best and the worst value after a whole training."""
        whole = self.errors[:, -1]
        costs = np.log(self.costs)
        scaled = (errors - whole.min()) / np.ptp(whole), (costs - costs.min()) / np.ptp(costs)
        return np.stack([scaled[0], scaled[1][rows]], axis=1)

    def reference(self, measure: str) -> list[float]:
        """The reference point of a measure, ``"worst"`` or ``"guess"``."""
        whole = self.errors[:, -1]
        guess = (self.guess - whole.min()) / np.ptp(whole)
        return [1 + MARGIN if measure == "worst" else guess, 1 + MARGIN]


@cache
def truth(file: Path = DIGITS) -> pd.DataFrame:
    """The table of learning curves beside a study file."""
    return pd.read_parquet(file.with_suffix(".parquet"))


@cache
def drawn(replicate: int, file: Path = DIGITS) -> Draw:
    """A replicate's draw from a table."""
    curves = truth(file).pivot(
        index=["candidate_id", "seed"], columns="epoch", values="validation_accuracy"
    )
    known = truth(file).groupby("candidate_id").first()
    everyone = [curves.loc[name].to_numpy() for name in known.index]  # (seeds, epochs) each
    picked = [
        derive_seed(replicate, "seed of", name) % len(each)
        for name, each in zip(known.index, everyone, strict=True)
    ]
    mine = np.stack([each[seed] for each, seed in zip(everyone, picked, strict=True)])
    errors = [1 - np.maximum.accumulate(each, axis=1) for each in everyone]
    rest = [np.delete(each, seed, axis=0) for each, seed in zip(errors, picked, strict=True)]
    seeds = {len(each) for each in rest}
    if len(seeds) > 1:
        rest = [each[:0] for each in rest]
    return Draw(
        tuple(known.index),
        np.stack([each[seed] for each, seed in zip(errors, picked, strict=True)]),
        mine,
        known["ops"].to_numpy(dtype=float),
        np.stack(rest),
        1 - 1 / next(iter(known_networks(file).values())).classes,
    )


@dataclass(frozen=True)
class TableSpace(ir.SearchSpace):
    """A space whose points stand for the networks of a table.

    Attributes:
        file: the study file of the table.
    """

    file: Path

    def candidate(self, parameters: Mapping[str, Any]) -> ir.Candidate:
        return nearest(super().candidate(parameters), self.file)


@cache
def nearest(candidate: ir.Candidate, file: Path) -> ir.Candidate:
    """The network of a table whose features are nearest to those of a candidate."""
    known = known_networks(file)
    if candidate.id in known:
        return candidate
    table = features([candidate, *known.values()])
    return list(known.values())[int(cdist(table[:1], table[1:]).argmin())]


@cache
def known_networks(file: Path) -> dict[str, ir.Candidate]:
    """The networks of a table by id."""
    rows = truth(file).groupby("candidate_id")["candidate"].first()
    return {name: candidate_from_dict(json.loads(row)) for name, row in rows.items()}


@cache
def the_study(file: Path = DIGITS) -> Study:
    """The study of a table."""
    study, one = ir.load_study(file), next(iter(known_networks(file).values()))
    space = study.space.with_data(one.image, one.classes)
    return study.model_copy(update={"space": TableSpace(space.fixed, space.searched, file)})


def log_odds(errors: np.ndarray) -> np.ndarray:
    """Log odds of errors."""
    kept = np.clip(errors, LEAST_ERROR, 1 - LEAST_ERROR)
    return np.log(kept / (1 - kept))
