"""Does a short supernet save epochs of a search that trains networks alone?

Supernets of truth.toml are trained for few epochs, and all networks are measured with their part of
the weights. The search `ehvi` with rungs then knows these inherited accuracies from its start. It
uses them in one of these ways (`WAYS`):

- ``mean``: the prior mean of its model. In log odds, the expected error is `SLOPES` times that of
  the supernet, centred; the most likely slope is used, as with the model's other numbers.
- ``input``: one more feature of each candidate.
- ``first``: the front of the inherited accuracies is trained to the first rung before all others.

The comparison is that of search.py: epochs until 95% of the true front's hypervolume, on the same
draws, without the supernet's price and with it. The price is that of supernet.py: processor seconds
of training, calibration and evaluation over those of an epoch of the table's mean network. A
replicate takes the supernet of one of the seeds in turn.

    python tests/benchmarks/supernet_prior.py [--epochs 3 5 10 20] [--ways mean input first]
        [--replicates 30] [--runs runs/bench-supernet]
"""

from __future__ import annotations

import argparse
import itertools
import warnings
from collections.abc import Collection, Sequence
from dataclasses import replace
from functools import cache, cached_property
from pathlib import Path
from unittest.mock import patch

import numpy as np
import optuna
import pandas as pd
import torch
from curve_table import log_odds
from rich.console import Console
from rich.progress import track
from rich.table import Table
from search_methods import GOALS, RUNGS, Ours
from supernet import STUDY, Setting, alone, chosen, epoch_price, inherited, networks, trained

import ir2search as ir
from ir2search.data import ImageData, load_data
from ir2search.files import read_json, write_json
from ir2search.search.problem import PricedCandidate
from ir2search.search.pruners.base import Promotion
from ir2search.search.samplers.ehvi import curve_model
from ir2search.search.samplers.ehvi.curve_model import CurveModel, Points
from ir2search.search.samplers.ehvi.features import features
from ir2search.search.samplers.ehvi.sampler import FreezeThawSampler
from ir2search.space import Candidate

WAYS = ("mean", "input", "first")
SLOPES = (0.5, 0.0, 1.0)  # of the prior mean; the first one counts if all are equally likely
SUPERNETS = 3  # seeds
CALIBRATION = 256  # training images


class PriorModel(CurveModel):
    """The model of learning curves with a prior mean, which is the last column of the features."""

    def __init__(self, known: Points, errors: np.ndarray, like: PriorModel | None = None) -> None:
        plain, prior = _apart(known)
        odds = log_odds(errors)
        best = -np.inf
        for slope in SLOPES if like is None else (like.slope,):
            model = CurveModel(plain, 1 / (1 + np.exp(slope * prior - odds)), like)
            likelihood = -2 * np.log(np.diag(model._cholesky)).sum()
            likelihood -= (len(errors) + 1) * np.log(model._scale)
            if likelihood > best + 1e-9:
                best, self.slope = likelihood, slope
                self.__dict__.update(vars(model))

    def predict(self, points: Points) -> tuple[np.ndarray, np.ndarray]:
        plain, prior = _apart(points)
        means, deviations = super().predict(plain)
        return means + self.slope * prior, deviations


def _apart(points: Points) -> tuple[Points, np.ndarray]:
    return replace(points, features=points.features[:, :-1]), points.features[:, -1]


@ir.register_sampler("supernet-ehvi", needs_accuracy=True, needs_finite_space=True)
class SupernetEhvi(FreezeThawSampler):
    """`ehvi` with rungs, with what a supernet says; both are set before a search."""

    way: str
    accuracies: pd.Series  # inherited, by id of the network

    def pool(self, number: int) -> list[PricedCandidate]:
        everyone, first = super().pool(number), self._first - self.ledger.trial_of.keys()
        return [each for each in everyone if each.candidate.id in first] or everyone

    def next(self, running: Collection[int]) -> Promotion | None:
        return None if self._first - self.ledger.trial_of.keys() else super().next(running)

    @cached_property
    def _first(self) -> frozenset[str]:
        """The candidates with which a search begins."""
        if self.way != "first":
            return frozenset()
        return frozenset(chosen(self.accuracies, alone()[0], 0))

    def _rates(self, *args: object, **options: object) -> np.ndarray:
        model = PriorModel if self.way == "mean" else CurveModel
        with (
            patch.object(curve_model, "features", self._features),
            patch.object(curve_model, "CurveModel", model),
        ):
            return super()._rates(*args, **options)  # type: ignore[arg-type]

    def _features(self, candidates: Sequence[Candidate]) -> np.ndarray:
        if self.way == "first":
            return features(candidates)
        odds = log_odds(1 - self.accuracies.to_numpy())
        odds = odds - odds.mean() if self.way == "mean" else (odds - odds.min()) / np.ptp(odds)
        known = dict(zip(self.accuracies.index, odds, strict=True))
        own = [known[network_of(candidate)] for candidate in candidates]
        return np.column_stack([features(candidates), own])


@cache
def network_of(candidate: Candidate) -> str:
    """The id of a network, whose weights do not depend on the threshold."""
    return replace(candidate, threshold=next(iter(networks().values())).threshold).id


def epochs_of(way: str, epochs: int, replicate: int, runs: Path) -> int:
    """Epochs that a search needs for the goal, without the supernet's price.

    Args:
        way: one of `WAYS`, or ``"none"`` for `ehvi` as it is.
        epochs: of the supernet.
        replicate: the draw of search.py.
        runs: folder of the supernets.
    """
    file = runs / "prior" / f"{way}-{epochs}" / f"{replicate}.json"
    if not file.exists():
        if way != "none":
            setting, seed = setting_of(epochs), replicate % SUPERNETS
            found = inherited(setting, seed, images(runs), runs)
            SupernetEhvi.way, SupernetEhvi.accuracies = way, pd.Series(found["accuracy"])
        search = Ours("ehvi" if way == "none" else "supernet-ehvi", RUNGS, goal=GOALS[0])
        trace = search(replicate)
        write_json(file, {"epochs": int(np.argmax(np.array(trace.shares) >= GOALS[0])) + 1})
    return int(read_json(file)["epochs"])


def setting_of(epochs: int) -> Setting:
    """A cheap supernet of this number of epochs."""
    return Setting(epochs, random=1, calibration=CALIBRATION)


@cache
def images(runs: Path) -> ImageData:
    """The study's images."""
    return load_data(STUDY.data, None, runs / ".cache", STUDY.seed)


def price_of(epochs: int, runs: Path) -> float:
    """The price of a supernet and of measuring all networks, in epochs; mean over seeds."""
    data, setting, seconds = images(runs), setting_of(epochs), 0.0
    for seed in range(SUPERNETS):
        seconds += trained(setting, seed, data, runs)
        seconds += inherited(setting, seed, data, runs)["seconds"]
    return seconds / SUPERNETS / epoch_price(data, runs)


def main() -> None:
    """Do what is not done yet, and compare."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--epochs", type=int, nargs="+", default=[3, 5, 10, 20])
    parser.add_argument("--ways", nargs="+", default=list(WAYS), choices=WAYS)
    parser.add_argument("--replicates", type=int, default=30)
    parser.add_argument("--runs", type=Path, default=Path("runs/bench-supernet"))
    options = parser.parse_args()
    torch.set_num_threads(1)
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    warnings.simplefilter("ignore")
    columns = ("way", "supernet", "price", "epochs to 95%", "with price", "ratio to ehvi", "faster")
    table = Table(*columns, title=f"{options.replicates} searches, medians and quartiles")
    plain = np.empty(0)
    settings = [("none", 0), *itertools.product(options.ways, options.epochs)]
    for way, epochs in track(settings, "searches"):
        price = price_of(epochs, options.runs) if way != "none" else 0.0
        found = np.array(
            [epochs_of(way, epochs, each, options.runs) for each in range(options.replicates)]
        )
        plain = found if way == "none" else plain
        low, high = np.quantile(found, [0.25, 0.75], method="nearest")
        middle = float(np.median(found))
        ratio = np.exp(np.log(found / plain).mean())  # of geometric means
        table.add_row(
            way, str(epochs), f"{price:.0f}", f"{middle:.0f} [{low}, {high}]",
            f"{middle + price:.0f}", f"{ratio:.2f}", str(int((found < plain).sum())),
        )  # fmt: skip
    Console(width=130).print(table)


if __name__ == "__main__":
    main()
