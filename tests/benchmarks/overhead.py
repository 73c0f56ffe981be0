"""What the engine itself costs at many trials: asking, telling, ranking, status, resuming.

Drives real studies with rungs on SQLite whose trainings are replayed: a candidate is dealt a curve
of the table of the truth by its id, and a cost by the table's candidate of that curve, so that
neither training nor counting is in the figures. Prints, for each sampler, milliseconds a trial
over all trials and over the last tenth, the seconds that `status` and resuming take then, and the
memory of the process.

    python tests/benchmarks/overhead.py [--trials 10000] [--samplers random tpe nsga2]
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict
from pathlib import Path
from types import SimpleNamespace
from unittest import mock

import pandas as pd
import torch

import ir2search as ir
from ir2search.costs import Cost
from ir2search.search.claims import Claims
from ir2search.search.driver import Driver
from ir2search.search.engines import Job, Outcome, Work
from ir2search.search.folder import write_study
from ir2search.search.observer import RunObserver
from ir2search.search.stopwatch import Stopwatch
from ir2search.search.storage import open_storage
from ir2search.search.study import parse_study
from ir2search.training import EpochResult, TrainingResult

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


class Dealt:
    """An engine that answers a job at once with a curve of the table."""

    def __init__(self) -> None:
        table = pd.read_parquet(TABLE)
        self.costs, self.curves = [], []
        for _, rows in table.groupby(["candidate_id", "seed"]):
            first = rows.iloc[0]
            self.costs.append(
                SimpleNamespace(
                    totals=lambda first=first: {
                        name: float(first[name])
                        for name in ("ops", "flops", "bops", "memory_bytes")
                    },
                    as_dict=dict,
                    **{
                        name: float(first[name])
                        for name in ("ops", "flops", "bops", "memory_bytes")
                    },
                )
            )
            self.curves.append(
                [
                    EpochResult(int(epoch), 0.0, float(accuracy), 0.0, 0.0, 0.0)
                    for epoch, accuracy in zip(
                        rows["epoch"], rows["validation_accuracy"], strict=True
                    )
                ]
            )
        self.jobs: list[Job] = []
        self.ended: list[float] = []

    def place(self, candidate: ir.Candidate) -> int:
        return int(candidate.id, 16) % len(self.curves)

    def cost(self, candidate: ir.Candidate) -> Cost:
        return self.costs[self.place(candidate)]  # type: ignore[return-value]

    def capacity(self) -> int:
        return 1

    def submit(self, job: Job) -> None:
        self.jobs.append(job)

    def wait(self) -> list[Outcome]:
        self.ended.append(time.perf_counter())
        job = self.jobs.pop()
        curve = self.curves[self.place(job.candidate)][: job.until]
        lines = [json.dumps(asdict(result)) for result in curve]
        (job.folder / "curve.jsonl").write_text("\n".join(lines) + "\n")
        return [Outcome(job, TrainingResult(tuple(curve)))]

    def quiet(self) -> AbstractContextManager[None]:
        return nullcontext()

    def interrupt(self) -> None:
        pass

    def close(self) -> None:
        pass


def drive(study: ir.Study, folder: Path, engine: Dealt) -> float:
    """Search to the study's end, without the front's test; gives the seconds until it began."""
    data = ir.load_data(study.data, None, folder.parent, study.seed)
    start = time.perf_counter()
    write_study(folder, study)
    driver = Driver(
        study,
        study.space.with_data(data.image, data.classes),
        open_storage(folder, study, create=True),
        folder,
        Work(study.recipe, data, None),
        torch.device("cpu"),
        engine,
        Claims(folder, shared=False),
        Stopwatch(study, folder.parent),
        RunObserver(),
        lambda: False,
    )
    engine.ended.append(time.perf_counter())
    driver._read()
    seconds = time.perf_counter() - start
    with (
        mock.patch("ir2search.search.driver.cost", engine.cost),
        mock.patch("ir2search.search.proposals.cost", engine.cost),
    ):
        driver._search()
    return seconds


def measure(sampler: str, trials: int) -> None:
    """Print what a sampler's study costs."""
    engine = Dealt()
    values = {
        "name": "overhead",
        "sampler": sampler,
        "data": {"source": "digits", "size": 8},
        "space": SPACE,
        "recipe": {"epochs": 27},
        "rungs": {"minimum": 1, "factor": 3},
    }
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "overhead"
        drive(parse_study({**values, "trials": trials}, "a.toml"), folder, engine)
        steps = [1000 * (b - a) for a, b in zip(engine.ended, engine.ended[1:], strict=False)]
        last = steps[-len(steps) // 10 :]
        start = time.perf_counter()
        subprocess.run(
            [sys.executable, "-m", "ir2search.cli.app", "status", str(folder), "--json"],
            check=True,
            capture_output=True,
        )
        status = time.perf_counter() - start
        more = parse_study({**values, "trials": trials + 1}, "a.toml")
        resumed = drive(more, folder, engine)
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(
        f"{sampler:7} {trials} trials: median {statistics.median(steps):.1f} ms a training, "
        f"last tenth {statistics.median(last):.1f} ms; status {status:.1f} s; "
        f"resuming {resumed:.1f} s; {memory:.0f} MiB",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=10_000)
    parser.add_argument("--samplers", nargs="+", default=["random", "tpe", "nsga2"])
    options = parser.parse_args()
    for sampler in options.samplers:
        measure(sampler, options.trials)


if __name__ == "__main__":
    main()
