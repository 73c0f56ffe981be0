"""Runs that are killed and interrupted at random moments, against runs that are not.

Small networks are trained on real digits. Each try starts a run in a process group of its own,
sends a signal after a random time, and runs the study again until it ends. The signals are SIGKILL,
SIGINT and SIGTERM, each to the process and to its whole group. At the end all trials must equal
those of a run that nobody disturbed, in the same order: network, state, learning curve, test
accuracy. Only proposals that a kill has cut are left out, as each uses up a number. The undisturbed
run has one worker.

No trial may fail, and a run that gets SIGINT or SIGTERM may end only as an interrupted one.

One process imports everything and forks for each run. Its workers are forks too, except in the case
`spawned`.

    python tests/benchmarks/kills.py [--tries 200] [--minutes 60] [--seed 0]
"""

from __future__ import annotations

import argparse
import ctypes
import faulthandler
import itertools
import multiprocessing
import os
import random
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any
from unittest import mock

import pandas as pd
import torch
from PIL import Image

import ir2search as ir
from ir2search.data import DataConfig, load_data
from ir2search.runs.layout import CURVE
from ir2search.search import session
from ir2search.search.executors import processes
from ir2search.study.loading import parse_study
from ir2search.study.schema import Study

sys.path.insert(0, str(Path(__file__).parents[1]))
from replay import ReplayExecutor

SIGNALS = tuple(
    itertools.product((signal.SIGKILL, signal.SIGINT, signal.SIGTERM), ("process", "group"))
)
SUBREAPER = 36  # PR_SET_CHILD_SUBREAPER of Linux
INTERRUPTED = 130  # exit code
PATIENCE = 120.0  # seconds until a run counts as hung
SPACE: dict[str, Any] = {
    "depth": 8,
    "width": [0.125, 0.25],
    "threshold": [0.0, 0.9],
    "fusion": ["none", "dense", "compact"],
    "taps": {"stem": [True, False], "stage1": [True, False]},
}
STUDY: dict[str, Any] = {
    "name": "kills",
    "trials": 6,
    "sampler": "random",
    "objectives": ["accuracy", "ops"],
    "data": {"source": "digits", "size": 8, "validation": 0.2},
    "space": SPACE,
    "recipe": {"epochs": 2, "batch_size": 512, "optimizer": "adamw", "lr": 0.02, "flip": False},
}
RUNGS = {"rungs": {"minimum": 1, "factor": 2}}


@dataclass(frozen=True)
class Case:
    """A kind of run.

    Attributes:
        name: of the case.
        share: of all tries.
        changes: values of the study file that differ from `STUDY`.
        workers: number of workers.
        start: how worker processes start.
        streamed: whether helper processes decode images during the training.
    """

    name: str
    share: float
    changes: dict[str, Any]
    workers: int = 1
    start: str = "fork"
    streamed: bool = False

    def study(self, images: Path) -> Study:
        values = STUDY | self.changes
        if self.streamed:
            values["data"] = {
                "source": "folder", "path": str(images), "size": 8, "stream": True,
                "validation": 0.25,
            }  # fmt: skip
        return parse_study(values, "kills.toml")


CASES = (
    Case("rungs, tpe", 0.5, {**RUNGS, "sampler": "tpe"}),
    Case("streamed, rungs", 0.1, RUNGS, streamed=True),
    Case("two workers", 0.2, {}, workers=2),
    Case("two workers, rungs", 0.14, RUNGS, workers=2),
    Case("two workers, streamed", 0.03, {}, workers=2, streamed=True),
    Case("two workers, spawned", 0.03, {}, workers=2, start="spawn"),
)


@dataclass
class Found:
    """What the tries of a case have found.

    Attributes:
        tries: number of tries.
        signals: number of signals that ended a run.
        equal: number of tries whose trials are as they must be.
        fronts: number of tries with the front of the undisturbed run.
    """

    tries: int = 0
    signals: int = 0
    equal: int = 0
    fronts: int = 0

    def __str__(self) -> str:
        return (
            f"{self.tries:4} tries, {self.signals:4} runs ended by signals: "
            f"{self.equal:4} as undisturbed, {self.fronts:4} fronts equal"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tries", type=int, default=200)
    parser.add_argument("--minutes", type=float, default=60, help="begin no try after this time")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--cases", nargs="*", help="beginnings of names; all by default")
    given = parser.parse_args()
    ctypes.CDLL(None).prctl(SUBREAPER, 1)  # workers of a killed run become children of this process
    generator, end = random.Random(given.seed), time.monotonic() + 60 * given.minutes
    cases = [case for case in CASES if case.name.startswith(tuple(given.cases or [""]))]
    with tempfile.TemporaryDirectory() as place:
        images = _write_images(Path(place))
        _import_all(CASES[0].study(images), Path(place) / "first")
        tried = [_Tried(case, Path(place), images, generator) for case in cases]
        todo = [each for each in tried for _ in range(max(1, round(given.tries * each.case.share)))]
        generator.shuffle(todo)
        with suppress(KeyboardInterrupt):  # Ctrl-C: show what was found so far
            for each in todo:
                if time.monotonic() < end:
                    each.once()
    for each in tried:
        print(f"{each.case.name:24}", each.found)
    counts = [vars(each.found).values() for each in tried]
    total = Found(*map(sum, zip(*counts, strict=True)))
    print(f"{'all':24}", total)
    sys.exit(total.equal < total.tries)


class _Tried:
    """A case and its tries, after an undisturbed run."""

    def __init__(self, case: Case, place: Path, images: Path, generator: random.Random) -> None:
        self.case, self.generator, self.found = case, generator, Found()
        self._study = case.study(images)
        self._runs = place / case.name.replace(", ", "-").replace(" ", "-")
        self._signals = itertools.cycle(SIGNALS)
        start = time.monotonic()
        code = _run(partial(_work, replace(case, workers=1), self._study, self._runs / "whole"))
        assert code == 0, f"{case.name}: the undisturbed run ends with {code}"
        self._duration = time.monotonic() - start
        if case.start == "spawn":
            self._duration *= 3  # until workers have imported what they need
        self._whole = ir.trials(self._runs / "whole")

    def once(self) -> None:
        """Disturb a run up to three times, let it end, and compare it."""
        (what, whom), number = next(self._signals), self.found.tries
        folder = self._runs / str(number)
        faults = self._disturbed(folder, what, whom)
        if not faults:
            faults = _differences(self._runs / "whole", self._whole, folder)
            self.found.fronts += _front(folder) == _front(self._runs / "whole")
        self.found.tries += 1
        self.found.equal += not faults
        for fault in faults:
            print(f"{self.case.name}, try {number}, {what.name} to the {whom}: {fault}", flush=True)

    def _disturbed(self, folder: Path, what: signal.Signals, whom: str) -> list[str]:
        """Run the study to its end, with one to three signals; return the faults of the runs."""
        planned, sent = self.generator.randint(1, 3), 0
        while True:
            delay = self.generator.uniform(0, self._duration) if sent < planned else None
            start = time.monotonic()
            code = _run(partial(_work, self.case, self._study, folder), delay, what, whom)
            if code == 0 and sent == 0:  # it ended before the signal: begin again
                self._duration = time.monotonic() - start
                shutil.rmtree(folder)
            elif code == 0:
                return []
            elif code in (INTERRUPTED, -what) and delay is not None:
                sent += 1
                self.found.signals += 1
            else:
                return [f"a run ends with {code}"]


def _differences(one: Path, whole: pd.DataFrame, other: Path) -> list[str]:
    """In what a run differs from the undisturbed one where it must not."""
    table = ir.trials(other)
    faults = [f"trials {state}" for state in ("failed", "unfinished", "waiting")
              if (table["state"] == state).any()]  # fmt: skip
    if not ir.status(other).has_ended:
        faults.append("the run has not ended")
    expected, got = _rows(one, whole), _rows(other, table)
    if expected != got:
        faults.append(f"other trials: {_first_difference(expected, got)}")
    return faults


def _rows(folder: Path, table: pd.DataFrame) -> list[tuple[Any, ...]]:
    """All trials in their order, without their numbers and times."""
    curves: dict[str, tuple[Any, ...]] = {"": (), **_curves(folder, table)}
    columns = ["candidate_id", "state", "accuracy", "test_accuracy", "epochs"]
    kept = table.loc[table["candidate_id"].notna(), columns]
    kept = kept.astype({"accuracy": str, "test_accuracy": str})
    return [(*row, *curves[row[0] if row[-1] else ""]) for row in kept.itertuples(index=False)]


def _curves(folder: Path, table: pd.DataFrame) -> dict[str, tuple[Any, ...]]:
    """The learning curve of each network, without times."""
    found = {}
    for row in table[table["epochs"] > 0].itertuples():
        curve = pd.read_json(folder / "trials" / str(row.number) / CURVE, lines=True)
        values = curve.drop(columns="seconds").itertuples(index=False)
        found[str(row.candidate_id)] = tuple(map(tuple, values))
    return found


def _front(folder: Path) -> list[tuple[Any, ...]]:
    columns = ["candidate_id", "accuracy", "test_accuracy", "ops"]
    return list(ir.front(folder)[columns].itertuples(index=False, name=None))


def _first_difference(one: list[Any], other: list[Any]) -> str:
    pairs = itertools.zip_longest(one, other)
    number, (expected, got) = next((n, pair) for n, pair in enumerate(pairs) if len(set(pair)) > 1)
    return f"trial {number} is {got} instead of {expected}"


def _run(
    work: Callable[[], None],
    delay: float | None = None,
    what: signal.Signals = signal.SIGKILL,
    whom: str = "process",
) -> int:
    """Do something in a fork with a group of its own, and send it a signal after a while.

    Returns:
        The exit code, or the negative number of the signal that ended it.
    """
    child = os.fork()
    if child == 0:
        os.setpgid(0, 0)
        work()
        os._exit(0)
    with suppress(OSError):
        os.setpgid(child, child)
    if delay is not None:
        time.sleep(delay)
        with suppress(ProcessLookupError):
            (os.killpg if whom == "group" else os.kill)(child, what)
    return _ended(child)


def _ended(child: int) -> int:
    """Wait for a process and its whole group to end; return the exit code of the process."""
    deadline, code = time.monotonic() + PATIENCE, -1
    while True:
        try:
            done, status = os.waitpid(-child, os.WNOHANG)
        except ChildProcessError:
            return code
        if done == child:
            code = os.waitstatus_to_exitcode(status)
        if time.monotonic() > deadline:
            os.killpg(child, signal.SIGABRT)  # with the tracebacks of its threads
            deadline += PATIENCE
        time.sleep(0 if done else 0.005)


def _work(case: Case, study: Study, folder: Path) -> None:
    """Run the study, as the command does; ends this process."""
    faulthandler.enable()
    code = 0
    try:
        with mock.patch.object(processes, "get_context", partial(_context, case.start)):
            ir.run(study, folder, device="cpu", workers=case.workers)
    except KeyboardInterrupt:
        code = INTERRUPTED
    except BaseException:
        traceback.print_exc()
        code = 1
    finally:
        sys.stderr.flush()
        os._exit(code)


def _context(start: str, _: str) -> Any:
    """Where worker processes come from; a fork gets the signals' default effects."""
    if start == "fork":
        for number in (signal.SIGINT, signal.SIGTERM):
            os.register_at_fork(after_in_child=partial(signal.signal, number, signal.SIG_DFL))
    return multiprocessing.get_context(start)


def _import_all(study: Study, folder: Path) -> None:
    """Import what runs import when they need it, without a training: it does not survive a fork."""
    ir.run(study, folder, executor=ReplayExecutor)
    torch.optim.AdamW(ir.Run.open(folder).network(0).parameters())


def _write_images(place: Path) -> Path:
    """Write some of the digits as folders of PNG files."""
    digits = load_data(DataConfig(**STUDY["data"]), None, place / "cache", 0)
    for split, images in (("train", digits.train), ("test", digits.read_test())):
        for index in range(300 if split == "train" else 100):
            folder = place / "images" / split / str(int(images.labels[index]))
            folder.mkdir(parents=True, exist_ok=True)
            Image.fromarray(images.images[index, 0].numpy()).save(folder / f"{index}.png")
    return place / "images"


if __name__ == "__main__":
    assert session  # imported before the forks
    main()
