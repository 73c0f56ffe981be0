"""The time that a search itself takes at many trials: proposing, recording, ranking, resuming.

Runs real studies with rungs whose trainings are replayed. Each candidate gets a learning curve of
the table truth.parquet by its id, and the costs of that curve's candidate, so that the figures
contain neither training nor counting. All trials in the storage are counted, also duplicates, which
are most of TPE's proposals after some hundreds of trials. For each sampler it prints the
milliseconds between two proposals (trainings to further rungs lie between them), over all trials
and over the last tenth; then the seconds of `status` and of resuming, and the process's memory.

    python tests/benchmarks/overhead.py [--trials 2000] [--samplers random tpe nsga2]
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest import mock

import pandas as pd
import torch
from optuna.trial import Trial

import ir2search as ir
from ir2search.costs import Cost
from ir2search.runs.saved import write_study
from ir2search.runs.storages import open_storage
from ir2search.search.driver import Driver
from ir2search.search.driver_locks import DriverLocks
from ir2search.search.executors import ExecutorSettings, TrainingContext
from ir2search.search.latency_timer import LatencyTimer
from ir2search.search.observer import RunObserver
from ir2search.search.problem import Problem
from ir2search.study.loading import parse_study
from ir2search.training import Interrupted

sys.path.insert(0, str(Path(__file__).parents[1]))
from replay import ReplayExecutor

CPU = torch.device("cpu")
TABLE = Path(__file__).with_name("truth.parquet")
COSTS = ("ops", "flops", "bops", "memory_bytes")
SPACE = {
    "depth": [8, 14, 20],
    "width": {"low": 0.25, "high": 1.0, "step": 0.125},
    "threshold": {"low": 0.0, "high": 1.0, "step": 0.01},
    "fusion": ["dense", "compact"],
    "fusion_ratio": {"low": 2, "high": 8},
    "taps": {"stem": [True, False], "stage1": [True, False], "stage2": [True, False]},
}


class Table:
    """Costs and learning curves of the table, given to candidates by their ids."""

    def __init__(self) -> None:
        self.costs, self.curves = [], []
        for _, rows in pd.read_parquet(TABLE).groupby(["candidate_id", "seed"]):
            costs = {name: float(rows.iloc[0][name]) for name in COSTS}
            self.costs.append(
                SimpleNamespace(totals=lambda costs=costs: dict(costs), as_dict=dict, **costs)
            )
            self.curves.append(rows.sort_values("epoch")["validation_accuracy"].tolist())

    def row(self, candidate: ir.Candidate) -> int:
        return int(candidate.id, 16) % len(self.curves)

    def cost(self, candidate: ir.Candidate) -> Cost:
        return self.costs[self.row(candidate)]  # type: ignore[return-value]

    def curve(self, candidate: ir.Candidate, seed: int, epochs: int) -> list[float]:
        return self.curves[self.row(candidate)][:epochs]


def drive(study: ir.Study, folder: Path, table: Table, recorded: int) -> tuple[float, list[float]]:
    """Search until so many trials are recorded; seconds until it began, and times of proposals."""
    data = ir.load_data(study.data, None, folder.parent, study.seed)
    start = time.perf_counter()
    write_study(folder, study)
    context, observer = TrainingContext(study.recipe, data, None), RunObserver()
    settings = ExecutorSettings(
        study, folder, context, [CPU], observer, lambda: driver.ledger.proposed >= recorded
    )
    executor = ReplayExecutor(settings, curve=table.curve, weights=False)
    space = study.space.with_data(data.image, data.classes)
    problem = Problem(study, space, LatencyTimer(study, folder.parent))
    storage, locks = open_storage(folder, study, create=True), DriverLocks(folder, shared=False)
    driver = TimedDriver(problem, storage, settings, executor, locks)
    driver.resume()
    seconds = time.perf_counter() - start
    with (
        mock.patch("ir2search.search.driver.cost", table.cost),
        mock.patch("ir2search.search.problem.cost", table.cost),
        contextlib.suppress(Interrupted),
    ):
        driver.search()
    return seconds, driver.moments


class TimedDriver(Driver):
    """A driver that notes the time of each proposal."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.moments: list[float] = []

    def _propose(self) -> Trial | None:
        self.moments.append(time.perf_counter())
        return super()._propose()


def measure(sampler: str, trials: int) -> None:
    """Print the times of a study with a sampler."""
    table = Table()
    values = {
        "name": "overhead",
        "sampler": sampler,
        "data": {"source": "digits", "size": 8},
        "space": SPACE,
        "recipe": {"epochs": 27},
        "rungs": {"minimum": 1, "factor": 3},
        "trials": trials,
    }
    study = parse_study(values, "a.toml")
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "overhead"
        _, moments = drive(study, folder, table, trials)
        steps = [1000 * (after - before) for before, after in itertools.pairwise(moments)]
        last = steps[-len(steps) // 10 :]
        start = time.perf_counter()
        subprocess.run(
            [sys.executable, "-m", "ir2search.cli.app", "status", str(folder), "--json"],
            check=True,
            capture_output=True,
        )
        status = time.perf_counter() - start
        resumed, _ = drive(study, folder, table, trials + 1)
        begun = len(list(folder.glob("trials/*")))
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(
        f"{sampler:7} {trials} trials, {begun} of them trained: median "
        f"{statistics.median(steps):.1f} ms a trial, mean {statistics.mean(steps):.1f} ms, "
        f"last tenth {statistics.median(last):.1f} ms; status {status:.1f} s; "
        f"resuming {resumed:.1f} s; {memory:.0f} MiB",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=2_000)
    parser.add_argument("--samplers", nargs="+", default=["random", "tpe", "nsga2"])
    options = parser.parse_args()
    for sampler in options.samplers:
        measure(sampler, options.trials)


if __name__ == "__main__":
    main()
