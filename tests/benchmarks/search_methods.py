"""The methods that search.py compares; each replays a table's curves instead of training.

Optuna's samplers by themselves: each proposal is trained to the end, and duplicates are trained
again. This package's own driver with each sampler, whose executor is `Replay`; it also runs
BoTorch's qLogNEHVI (see botorch_sampler.py). And two bounds, both `Oracle`: one knows all curves,
the other knows how each candidate learns from the other seeds, if all candidates were trained from
as many.
"""

from __future__ import annotations

import contextlib
import heapq
import tempfile
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import moocore
import numpy as np
import optuna
import torch
from curve_table import DIGITS, MARGIN, Draw, drawn, log_odds, the_study

from ir2search.runs.storages import RunStudy
from ir2search.search.driver import Driver
from ir2search.search.driver_locks import DriverLocks
from ir2search.search.executors import (
    ExecutorSettings,
    JobResult,
    TrainingContext,
    TrainingJob,
)
from ir2search.search.latency_timer import LatencyTimer
from ir2search.search.observer import RunObserver
from ir2search.search.problem import Problem
from ir2search.search.samplers.base import distributions
from ir2search.search.samplers.ehvi.gains import QUANTILES, mean_gains
from ir2search.seeds import derive_seed
from ir2search.study.sections import Rungs, Stop
from ir2search.training import EpochResult, Interrupted, TrainingResult

GOALS = (0.95, 0.99)
PROPOSALS = 300  # of a plain sampler, duplicates included
MEMORY = "/dev/shm" if Path("/dev/shm").is_dir() else None  # for trials' folders


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
PLAIN_NAMES = [name for name, method in METHODS.items() if isinstance(method, Plain)]
