"""How many epochs does a search spend until it has found the front?

Replays the learning curves of a table (made by truth.py) instead of training. So searches can be
repeated from many seeds, and compared with the true front.

    python tests/benchmarks/search.py [--table STUDY] [--replicates 30] [--workers 2]
        [--moasha PYTHON] [--botorch PYTHON]
    python tests/benchmarks/search.py --draw

A table is a study file with a parquet file beside it; the default is truth.toml. If a table has
only some networks of the study's space, each other point of the space stands for the nearest one.

Each finished search is kept in a folder (runs/bench-search), so that an interrupted comparison can
continue. Remove the kept searches of a method after its proposals or its rungs have changed.

**Measure.** Each epoch that a method spends gives a point: the candidate's best accuracy so far,
and its operations. The measure is the hypervolume of these points as a share of the hypervolume of
the true front, which has the best accuracy of each candidate over all epochs. The figures are the
epochs spent until the share is 95% and 99%. The hypervolume is over the error and the logarithm of
the operations, because operations range over an order of magnitude. Both are scaled so that the
best and the worst value of wholly trained candidates are 0 and 1. The reference point is at 1.1
(Ishibuchi et al., "How to specify a reference point in hypervolume calculation for fair performance
comparison", Evolutionary Computation 2018); an error that is worse than any at the end of training
counts for nothing. A second measure has its reference point at the error of guessing.

**Random draws.** A replicate draws for each candidate one of the seeds that it was trained from,
which may be more for some than for others, and it seeds the sampler. All methods get the same draw.
The true front therefore contains candidates with a favourable seed, like the front of any search.

**Methods.** Optuna's samplers by themselves: each proposal is trained to the end, and duplicates
are trained again. With ``cached`` duplicates cost nothing; this stronger variant is the baseline of
all ratios. Syne Tune's MOASHA (see moasha.py), cached. This package's own driver with each sampler,
whose executor is `Replay`; it also runs BoTorch's qLogNEHVI (see botorch_sampler.py). And two
bounds, both `Oracle`: one knows all curves, the other knows how each candidate learns from the
other seeds, if all candidates were trained from as many. All methods end after the epochs of
`WHOLE` trainings.
"""

from __future__ import annotations

import argparse
import contextlib
import heapq
import json
import subprocess
import tempfile
import warnings
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import cache, cached_property, partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import moocore
import numpy as np
import optuna
import pandas as pd
import torch
from matplotlib.axes import Axes
from rich.console import Console
from rich.progress import track
from rich.table import Table
from scipy.spatial.distance import cdist

import ir2search as ir
from ir2search.plots.style import BLUE, STYLE
from ir2search.runs.storages import RunStudy
from ir2search.search.driver import Driver
from ir2search.search.driver_locks import DriverLocks
from ir2search.search.executors import (
    ExecutorSettings,
    JobResult,
    TrainingContext,
    TrainingJob,
)
from ir2search.search.executors.processes import end_with_parent
from ir2search.search.latency_timer import LatencyTimer
from ir2search.search.observer import RunObserver
from ir2search.search.problem import Problem
from ir2search.search.samplers.base import distributions
from ir2search.search.samplers.ehvi.features import features
from ir2search.search.samplers.ehvi.gains import LEAST_ERROR, QUANTILES, mean_gains
from ir2search.seeds import derive_seed
from ir2search.space import candidate_from_dict
from ir2search.study.schema import Study
from ir2search.study.sections import Rungs, Stop
from ir2search.training import EpochResult, Interrupted, TrainingResult

HERE = Path(__file__).parent
DIGITS = HERE / "truth.toml"  # its table is the parquet file beside it
REPORT = HERE.parent.parent / "reports" / "search"  # where they are published
RESULT = "search.parquet"
FIGURE = "search.png"
GOALS = (0.95, 0.99)
PROPOSALS = 300  # of a plain sampler, duplicates included
WHOLE = 100  # trainings to the end, after whose epochs a search ends
MARGIN = 0.1  # of the reference point beyond the worst values
MEMORY = "/dev/shm" if Path("/dev/shm").is_dir() else None  # for trials' folders
CONSOLE = Console(width=130)


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


class Trace:
    """The epochs that a search trains, and the share of the front that it has found.

    Args:
        draw: the learning curves.
        repeats: whether an epoch that was trained before counts again.
        measure: ``"worst"`` or ``"guess"``, see `Draw.reference`.
    """

    def __init__(self, draw: Draw, *, repeats: bool = False, measure: str = "worst") -> None:
        self.draw, self._repeats = draw, repeats
        self._reference = draw.reference(measure)
        self._best = np.full(len(draw.ids), np.inf)
        self._reached = np.zeros(len(draw.ids), dtype=int)
        everything = draw.points(np.arange(len(draw.ids)), draw.errors[:, -1])
        self._whole = moocore.hypervolume(everything, ref=self._reference)
        self.steps: list[tuple[int, int]] = []
        self.shares: list[float] = []
        self.seconds: list[float] = []  # of CPU time of the proposals, if they are timed

    def spend(self, row: int, epoch: int) -> None:
        """Train an epoch of a candidate; epochs count from 1."""
        self.steps.append((row, epoch))
        if epoch <= self._reached[row] and not self._repeats:
            return
        self._reached[row] = max(self._reached[row], epoch)
        share = self.shares[-1] if self.shares else 0.0
        if self.draw.errors[row, epoch - 1] < self._best[row]:
            self._best[row] = self.draw.errors[row, epoch - 1]
            met = np.flatnonzero(np.isfinite(self._best))
            found = self.draw.points(met, self._best[met])
            share = moocore.hypervolume(found, ref=self._reference) / self._whole
        self.shares.append(share)

    def is_done(self, goal: float = max(GOALS)) -> bool:
        """Whether a goal is reached, or the limit of epochs."""
        return bool(self.shares) and (
            self.shares[-1] >= goal or len(self.shares) >= self.draw.limit
        )


class Replay:
    """An executor that takes learning curves from the table instead of training; see `Executor`.

    Args:
        draw: the learning curves.
        workers: number of jobs at a time; an epoch takes the same time for all candidates.
    """

    def __init__(self, draw: Draw, workers: int) -> None:
        self._draw, self._workers, self._jobs = draw, workers, list[tuple[int, int, TrainingJob]]()
        self._reached: dict[int, int] = {}  # epochs by trial
        self._now = 0
        self.trace = Trace(draw)

    def capacity(self) -> int:
        return self._workers

    def submit(self, job: TrainingJob) -> None:
        until = self._draw.errors.shape[1] if job.until is None else job.until
        ends = self._now + until - self._reached.get(job.number, 0)
        heapq.heappush(self._jobs, (ends, job.number, job))

    def wait(self) -> list[JobResult]:
        self._now, _, job = heapq.heappop(self._jobs)
        row = self._draw.rows[job.candidate.id]
        curve = self._draw.accuracies[row, : job.until]
        for epoch in range(self._reached.get(job.number, 0) + 1, len(curve) + 1):
            self.trace.spend(row, epoch)
        self._reached[job.number] = len(curve)
        results = (
            EpochResult(epoch, 0.0, float(accuracy), 0.0, 0.1, 1.0)
            for epoch, accuracy in enumerate(curve, 1)
        )
        return [JobResult(job, TrainingResult(tuple(results)))]

    def paused(self) -> AbstractContextManager[None]:
        return nullcontext()

    def interrupt(self) -> None:
        """Nothing is at work between two calls of `wait`."""

    def close(self) -> None:
        """Nothing is held."""


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


@dataclass(frozen=True)
class Plain:
    """A sampler in an ask-and-tell loop: every proposal is trained in full."""

    make: Callable[..., optuna.samplers.BaseSampler]

    def __call__(self, replicate: int, file: Path = DIGITS) -> Trace:
        study, trace = the_study(file), Trace(drawn(replicate, file))
        storage = optuna.create_study(
            directions=["maximize", "minimize"],
            sampler=self.make(seed=derive_seed(replicate, "plain")),
        )
        for _ in range(PROPOSALS):
            trial = storage.ask(distributions(study.space))
            row = trace.draw.rows[study.space.candidate(trial.params).id]
            for epoch in range(1, study.recipe.epochs + 1):
                trace.spend(row, epoch)
            storage.tell(trial, [1 - trace.draw.errors[row, -1], trace.draw.costs[row]])
            if trace.is_done():
                break
        return trace


@dataclass(frozen=True)
class Ours:
    """A study's own driver, with an executor that replays."""

    sampler: str
    rungs: Rungs | None = None
    workers: int = 1
    goal: float = max(GOALS)

    def __call__(self, replicate: int, file: Path = DIGITS) -> Trace:
        draw = drawn(replicate, file)
        asked = {"sampler": self.sampler, "rungs": self.rungs, "stop": Stop(epochs=draw.limit)}
        asked |= {"seed": replicate, "trials": len(draw.ids)}
        study = the_study(file).model_copy(update=asked)
        executor = Replay(draw, self.workers)
        with tempfile.TemporaryDirectory(dir=MEMORY) as name:
            backend = optuna.storages.InMemoryStorage()
            optuna.create_study(
                storage=backend, study_name=study.name, directions=["maximize", "minimize"]
            )
            settings = ExecutorSettings(
                study,
                Path(name),
                TrainingContext(study.recipe, None, None),  # no image is read
                [torch.device("cpu")],
                RunObserver(),
                lambda: executor.trace.is_done(self.goal),
            )
            problem = Problem(study, study.space, LatencyTimer(study, Path(name)))
            storage = RunStudy(study.name, backend)
            locks = DriverLocks(Path(name), shared=False)
            with contextlib.suppress(Interrupted):
                # not `run`, which also tests the front: there are no weights
                Driver(problem, storage, settings, executor, locks).search()
        return executor.trace


@dataclass(frozen=True)
class Botorch:
    """BoTorch's qLogNEHVI in this package's driver, until the first goal; it is slow."""

    rungs: Rungs | None = None

    def __call__(self, replicate: int, file: Path = DIGITS) -> Trace:
        import botorch_sampler  # registers it; botorch has an environment of its own

        botorch_sampler.SECONDS.clear()
        trace = Ours("botorch", self.rungs, goal=GOALS[0])(replicate, file)
        trace.seconds = list(botorch_sampler.SECONDS)
        return trace


@dataclass(frozen=True)
class Oracle:
    """Not a search but a bound: it knows how candidates learn before it trains them.

    In each step it trains one candidate, from scratch or further, up to the epoch where the
    expected hypervolume for each epoch is largest. It is greedy, so the bound is not strict.

    Attributes:
        foresee: gives the errors that may follow, (candidates, guesses, epochs), from a draw and
            from the number of epochs that each candidate was trained.
    """

    foresee: Callable[[Draw, np.ndarray], np.ndarray]

    def __call__(self, replicate: int, file: Path = DIGITS) -> Trace:
        draw = drawn(replicate, file)
        trace = Trace(draw)
        rows, epochs = np.arange(len(draw.ids)), np.arange(1, draw.errors.shape[1] + 1)
        costs = draw.points(rows, draw.errors[:, -1])[:, 1]
        reached = np.zeros(len(rows), dtype=int)
        while not trace.is_done() and reached.min() < len(epochs):
            foreseen = self.foresee(draw, reached)
            errors = draw.points(np.repeat(rows, foreseen[0].size), foreseen.ravel())[:, 0]
            met = np.flatnonzero(reached)
            front = draw.points(met, draw.errors[met, reached[met] - 1])
            front = front[(front < 1 + MARGIN).all(axis=1)]
            front = front[moocore.is_nondominated(front)] if len(front) else front
            each = np.moveaxis(errors.reshape(foreseen.shape), 1, 2).reshape(-1, foreseen.shape[1])
            gains = mean_gains(front, np.repeat(costs, len(epochs))[:, None], each)
            ahead = epochs - reached[:, None]
            rates = gains.reshape(ahead.shape) / np.maximum(ahead, 1)
            row, place = np.unravel_index(np.where(ahead > 0, rates, -1).argmax(), rates.shape)
            for epoch in range(reached[row] + 1, epochs[place] + 1):
                trace.spend(int(row), epoch)
            reached[row] = epochs[place]
        return trace


def every_curve(draw: Draw, reached: np.ndarray) -> np.ndarray:
    """The errors that will follow."""
    return draw.errors[:, None]


def all_but_luck(draw: Draw, reached: np.ndarray) -> np.ndarray:
    """What a model could know at best: how a candidate learns from other seeds, not from this one.

    The log odds of the error are normal, with their mean over the other seeds, and correlated over
    epochs as among those seeds. For a candidate in training they are conditional on the last epoch.
    """
    odds = log_odds(draw.others)
    means, seeds = odds.mean(axis=1), odds.shape[1]
    apart = (odds - means[:, None]).reshape(-1, odds.shape[2])
    covariance = apart.T @ apart / (len(odds) * (seeds - 1)) * (1 + 1 / seeds)
    last = np.maximum(reached - 1, 0)
    rows = np.arange(len(means))
    follows = covariance[last] / np.diag(covariance)[last, None] * (reached > 0)[:, None]
    surprise = log_odds(draw.errors[rows, last]) - means[rows, last]
    means = means + follows * surprise[:, None]
    spread = np.sqrt(np.maximum(np.diag(covariance) - follows * covariance[last], 0))
    return 1 / (1 + np.exp(-(means[:, None] + QUANTILES[:, None] * spread[:, None])))


def log_odds(errors: np.ndarray) -> np.ndarray:
    """Log odds of errors."""
    kept = np.clip(errors, LEAST_ERROR, 1 - LEAST_ERROR)
    return np.log(kept / (1 - kept))


RUNGS = Rungs(minimum=3, factor=3)
ALL_BUT_LUCK = "oracle: all but luck"  # needs further seeds of each candidate
METHODS: dict[str, Callable[[int, Path], Trace]] = {
    "oracle: every curve": Oracle(every_curve),
    ALL_BUT_LUCK: Oracle(all_but_luck),
    "random": Plain(optuna.samplers.RandomSampler),
    "nsga2": Plain(optuna.samplers.NSGAIISampler),
    "nsga2, population 24": Plain(partial(optuna.samplers.NSGAIISampler, population_size=24)),
    "tpe": Plain(optuna.samplers.TPESampler),
    "tpe, multivariate": Plain(partial(optuna.samplers.TPESampler, multivariate=True)),
    "gp": Plain(optuna.samplers.GPSampler),
    "ours: random": Ours("random"),
    "ours: random, rungs": Ours("random", RUNGS),
    "ours: nsga2, rungs": Ours("nsga2", RUNGS),
    "ours: tpe": Ours("tpe"),
    "ours: tpe, rungs": Ours("tpe", RUNGS),
    "ours: gp, rungs": Ours("gp", RUNGS),
    "ours: ehvi": Ours("ehvi"),
    "ours: ehvi, rungs": Ours("ehvi", RUNGS),
    "ours: ehvi, rungs, 8 workers": Ours("ehvi", RUNGS, workers=8),
    "ours: tpe, rungs, 8 workers": Ours("tpe", RUNGS, workers=8),
}
BOTORCH = {"botorch": Botorch(), "botorch, rungs": Botorch(RUNGS)}


def kept_file(kept: Path, name: str, replicate: int) -> Path:
    """The file of a method's search in a replicate."""
    return kept / name.replace(": ", "-").replace(", ", "-").replace(" ", "-") / f"{replicate}.npy"


def run_one(name: str, replicate: int, table: Path, file: Path) -> None:
    """Run a method in a replicate, and keep the epochs that it trains in a file."""
    torch.set_num_threads(1)
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        trace = {**METHODS, **BOTORCH}[name](replicate, table)
    file.parent.mkdir(parents=True, exist_ok=True)
    if trace.seconds:
        np.save(file.with_suffix(".seconds.npy"), trace.seconds)
    part = file.with_suffix(".part.npy")
    np.save(part, np.array(trace.steps, dtype=np.int16))
    part.replace(file)


def run_ours(names: list[str], replicates: int, workers: int, kept: Path, table: Path) -> None:
    """Run the searches that are not kept yet, replicate by replicate."""
    jobs = [
        (name, replicate, table, kept_file(kept, name, replicate))
        for replicate in range(replicates)
        for name in names
    ]
    todo = [job for job in jobs if not job[-1].exists()]
    with ProcessPoolExecutor(workers, get_context("spawn"), end_with_parent) as pool:
        running = [pool.submit(run_one, *job) for job in todo]
        for job in track(as_completed(running), "searches", total=len(todo), console=CONSOLE):
            job.result()


MOASHA = {"moasha": [], "moasha, mended": ["--mended"]}
MOASHA_LIMIT = 1500  # epochs of its searches, which are slow


def run_moasha(python: Path, replicates: int, workers: int, kept: Path, table: Path) -> None:
    """Run Syne Tune's MOASHA, as released and with its priority corrected."""
    space, draws = the_study(table).space, [drawn(each, table) for each in range(replicates)]
    rows = [draws[0].rows[space.candidate(point).id] for point in space.grid()]
    steps = min(MOASHA_LIMIT, draws[0].limit)
    with tempfile.TemporaryDirectory(dir=MEMORY) as folder:
        source = Path(folder) / "in.npz"
        np.savez(
            source,
            errors=np.stack([draw.errors for draw in draws]),
            costs=draws[0].costs,
            rows=rows,
            domains=json.dumps({name: domain.values for name, domain in space.searched.items()}),
        )
        for name, options in MOASHA.items():
            target = kept_file(kept, name, 0).parent
            command = [python, HERE / "moasha.py", source, target, "--workers", workers]
            command += ["--steps", steps, *options]
            subprocess.run(list(map(str, command)), check=True)


def run_botorch(python: Path, replicates: int, workers: int, kept: Path, table: Path) -> None:
    """Run this program in the environment of BoTorch, for its methods only."""
    command = [python, __file__, "--methods", *BOTORCH, "--only-search", "--kept", kept]
    command += ["--table", table, "--replicates", replicates, "--workers", workers]
    subprocess.run(list(map(str, command)), check=True)


def kept_traces(
    kept: Path, names: Iterable[str], replicates: int
) -> dict[str, dict[int, np.ndarray]]:
    """The epochs that methods trained, by name and replicate; only what is kept."""
    found = {
        name: {
            replicate: np.load(file)
            for replicate in range(replicates)
            if (file := kept_file(kept, name, replicate)).exists()
        }
        for name in names
    }
    return {name: traces for name, traces in found.items() if traces}


def shares(
    steps: np.ndarray, draw: Draw, *, repeats: bool = False, measure: str = "worst"
) -> np.ndarray:
    """The share of the true front's hypervolume after each epoch that counts, up to the limit."""
    trace = Trace(draw, repeats=repeats, measure=measure)
    for row, epoch in steps:
        trace.spend(int(row), int(epoch))
    return np.array(trace.shares[: draw.limit])


def measured(found: Mapping[str, Mapping[int, np.ndarray]], table: Path) -> pd.DataFrame:
    """Shares by measure, method, replicate and epochs; only rows with a change, and the last."""
    tables = []
    for measure in ("worst", "guess"):
        for name, traces in found.items():
            plain = isinstance(METHODS.get(name), Plain)
            for repeats in (False, True) if plain else (False,):
                label = f"{name}, cached" if plain and not repeats else name
                for replicate, steps in traces.items():
                    draw = drawn(replicate, table)
                    curve = shares(steps, draw, repeats=repeats, measure=measure)
                    kept = np.flatnonzero(np.diff(curve, prepend=-1.0) > 0)
                    kept = np.union1d(kept, [len(curve) - 1])
                    known = {"measure": measure, "method": label, "replicate": replicate}
                    tables.append(pd.DataFrame(known | {"epochs": kept + 1, "share": curve[kept]}))
    return pd.concat(tables, ignore_index=True)


def epochs_to(table: pd.DataFrame, goal: float) -> pd.Series:
    """Epochs until a goal, by method and replicate; infinite where it was not reached."""
    keys = ["method", "replicate"]
    reached = table[table["share"] >= goal].groupby(keys, sort=False)["epochs"].min()
    everyone = pd.MultiIndex.from_frame(table[keys].drop_duplicates())
    return reached.reindex(everyone).fillna(np.inf)


def quartiles(table: pd.DataFrame, goal: float) -> pd.DataFrame:
    """Epochs to a goal by method, columns 0.25, 0.5, 0.75."""
    by_method = epochs_to(table, goal).groupby("method", sort=False)
    # "nearest": there is no value between a finite and an infinite one
    return by_method.apply(
        lambda epochs: pd.Series(
            np.quantile(epochs, [0.25, 0.5, 0.75], method="nearest"), index=[0.25, 0.5, 0.75]
        )
    ).unstack()


def show(table: pd.DataFrame, measure: str, limit: int) -> None:
    """Print the figures of a measure, and their ratio to the best plain sampler's median.

    ``limit`` is the number of epochs after which the searches ended.
    """
    part = table[table["measure"] == measure]
    grid = Table(title=f"epochs to a share of the front's hypervolume; reference: {measure}")
    grid.add_column("method")
    grid.add_column("seeds", justify="right")
    seeds = part.groupby("method")["replicate"].nunique()
    columns = []
    for goal in GOALS:
        grid.add_column(f"{goal:.0%}", justify="right")
        grid.add_column("of best plain", justify="right")
        found = quartiles(part, goal)
        plain = [name for name in found.index if name.removesuffix(", cached") in PLAIN_NAMES]
        columns.append((found, found.loc[plain, 0.5].min()))
    for name in columns[0][0].index:
        cells = []
        for goal, (found, best) in zip(GOALS, columns, strict=True):
            quartet = found.loc[name]
            middle = quartet[0.5]
            ratio = f"{middle / best:.2f}" if np.isfinite(middle) else ""
            if name in BOTORCH and goal > GOALS[0]:
                cells += ["not searched", ""]
                continue
            values = [f"{each:.0f}" if np.isfinite(each) else f">{limit}" for each in quartet]
            cells += ["{1} [{0}, {2}]".format(*values), ratio]
        grid.add_row(name, str(seeds[name]), *cells)
    CONSOLE.print(grid)


def show_seconds(kept: Path) -> None:
    """Print the CPU time of BoTorch's proposals."""
    for name in BOTORCH:
        files = sorted(kept_file(kept, name, 0).parent.glob("*.seconds.npy"))
        if files:
            seconds = float(np.median(np.concatenate([np.load(file) for file in files])))
            CONSOLE.print(f"{name}: median {seconds:.2f} s of CPU time a proposal")


PLAIN_NAMES = [name for name, method in METHODS.items() if isinstance(method, Plain)]


SHOWN = {  # methods of the figure, with their labels; the first two are ours
    "ours: ehvi, rungs": "ehvi with rungs (ours)",
    "ours: ehvi": "ehvi (ours)",
    "gp, cached": "GP (Optuna)",
    "tpe, cached": "TPE (Optuna)",
    "random, cached": "random",
}
LOOKS = (
    (BLUE, "-", 2.4), (BLUE, "--", 1.6), ("0.3", "-", 1.4), ("0.3", "--", 1.4), ("0.6", "-", 1.4),
)  # fmt: skip
TITLES = {"truth": "232 networks on 8 x 8 digits", "truth_cifar10": "networks on CIFAR-10"}
FIRST, LAST = 40, 1000  # epochs at the ends of the axis: later all lines are at the top
GAP = 0.06  # between two labels, as a share of the vertical axis


def result_file(report: Path, table: Path) -> Path:
    """Where the results of a table of curves are; those of digits are at the top."""
    return report / RESULT if table.stem == DIGITS.stem else report / table.stem / RESULT


def draw_figure(report: Path) -> None:
    """Draw shares over epochs, the median over the replicates: a panel for each table of curves."""
    files = {DIGITS.stem: report / RESULT}
    files |= {file.parent.name: file for file in sorted(report.glob(f"*/{RESULT}"))}
    tables = {name: pd.read_parquet(file) for name, file in files.items() if file.exists()}
    plt.style.use(STYLE)
    figure, panels = plt.subplots(
        1, len(tables), figsize=(7.6 * len(tables), 4.4), sharey=True, squeeze=False
    )
    for side, (name, table) in zip(panels[0], tables.items(), strict=True):
        draw_panel(side, table[table["measure"] == "worst"])
        searches = f"{table['replicate'].nunique()} searches each"
        side.set_title(f"{TITLES.get(name, name)}, {searches}", loc="left")
    panels[0, 0].set_ylabel("share of the true front's hypervolume")
    figure.savefig(report / FIGURE)


def draw_panel(side: Axes, table: pd.DataFrame) -> None:
    """Draw the methods of `SHOWN`, with labels at the ends of their lines."""
    grid = np.unique(np.geomspace(FIRST, LAST, 300).astype(int))
    ends = []
    best = quartiles(table, GOALS[0])[0.5]
    looks = {name: look for name, look in zip(SHOWN, LOOKS, strict=True) if name in best}
    for name, (colour, dashes, width) in looks.items():
        rows = table[table["method"] == name].groupby("replicate")
        curves = np.stack([at(rows.get_group(one), grid) for one in rows.groups])
        low, middle, high = np.quantile(curves, [0.25, 0.5, 0.75], axis=0)
        side.plot(grid, middle, dashes, color=colour, lw=width)
        if name == next(iter(SHOWN)):
            side.fill_between(grid, low, high, color=colour, alpha=0.15, linewidth=0)
        ends.append((float(middle[-1]), SHOWN[name], colour, dashes))
    side.axhline(GOALS[0], color="0.5", linewidth=0.8, linestyle=":")
    side.text(FIRST + 1, GOALS[0], "95%", va="bottom", fontsize=8, color="0.35")
    for name, (colour, _, _) in looks.items():
        if name in ("ours: ehvi, rungs", "tpe, cached") and np.isfinite(best[name]):
            side.plot(best[name], GOALS[0], "o", color=colour, ms=5)
            shift, said_at = ((4, -14), "left") if colour == BLUE else ((0, -40), "center")
            side.annotate(
                f"{best[name]:.0f} epochs", (best[name], GOALS[0]), shift,
                textcoords="offset points", ha=said_at, fontsize=8, color=colour,
            )  # fmt: skip
    low, high = 0.6, 1.01
    side.set(xscale="log", xlabel="epochs spent", xlim=(FIRST, LAST), ylim=(low, high))
    side.set_xticks([50, 100, 200, 500, 1000], ["50", "100", "200", "500", "1,000"])
    side.minorticks_off()
    place = high + GAP * (high - low)
    for value, label, colour, dashes in sorted(ends, reverse=True):
        place = min(value, place - GAP * (high - low))
        side.annotate(
            label, (LAST, value), (1.1, (place - low) / (high - low)),
            textcoords="axes fraction", va="center", fontsize=9, color=colour,
            annotation_clip=False,
            arrowprops={"arrowstyle": "-", "color": colour, "ls": dashes, "relpos": (0, 0.5)},
        )  # fmt: skip


def at(rows: pd.DataFrame, epochs: np.ndarray) -> np.ndarray:
    """The share of one replicate after each of these numbers of epochs."""
    places = np.searchsorted(rows["epochs"], epochs, side="right") - 1
    return np.where(places >= 0, rows["share"].to_numpy()[np.maximum(places, 0)], 0.0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--table", type=Path, default=DIGITS, help="study file of a table")
    parser.add_argument("--replicates", type=int, default=30)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--methods", nargs="*", default=list(METHODS), choices=[*METHODS, *BOTORCH])
    parser.add_argument("--moasha", type=Path, help="Python of an environment with syne-tune")
    parser.add_argument("--botorch", type=Path, help="Python of an environment with botorch")
    parser.add_argument("--only-search", action="store_true", help="keep searches, print nothing")
    parser.add_argument("--kept", type=Path, default=Path("runs/bench-search"))
    parser.add_argument("--report", type=Path, default=REPORT, help="folder of the results")
    parser.add_argument("--draw", action="store_true", help="draw the published results again")
    options = parser.parse_args()
    if options.draw:
        draw_figure(options.report)
        return
    table = options.table
    kept = options.kept if table.stem == DIGITS.stem else options.kept / table.stem
    common = (options.replicates, options.workers, kept, table)
    has_others = drawn(0, table).others.size > 0
    run_ours([each for each in options.methods if has_others or each != ALL_BUT_LUCK], *common)
    if options.only_search:
        return
    if options.botorch is not None and options.botorch.exists():
        run_botorch(options.botorch, options.replicates, options.workers, options.kept, table)
    else:
        CONSOLE.print("BoTorch is not run: it is not installed")
    if options.moasha is not None and options.moasha.exists():
        run_moasha(options.moasha, *common)
    else:
        CONSOLE.print("MOASHA is not run: syne-tune is not installed")
    traces = kept_traces(kept, [*METHODS, *BOTORCH, *MOASHA], options.replicates)
    results, file = measured(traces, table), result_file(options.report, table)
    file.parent.mkdir(parents=True, exist_ok=True)
    results.to_parquet(file)
    draw_figure(options.report)
    for measure in ("worst", "guess"):
        show(results, measure, drawn(0, table).limit)
    show_seconds(kept)


if __name__ == "__main__":
    main()
