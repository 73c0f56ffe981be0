"""Progress of long commands, on standard error, so that results can be piped."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Self

import moocore
import pandas as pd
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from ir2search import escape, text
from ir2search.costs import Cost
from ir2search.runs import COUNTED, State
from ir2search.runs.records import How
from ir2search.runs.tables import minimised
from ir2search.search import RunObserver
from ir2search.space import Candidate
from ir2search.study import Study
from ir2search.study.objectives import OBJECTIVES
from ir2search.training import EpochResult, Recipe

Values = dict[str, float]
SECONDS_BETWEEN_LINES = 60.0  # of an analysis without a terminal


class _Bars:
    """Bars that are shown inside a ``with`` block, and lines above them."""

    def __init__(self) -> None:
        self.progress = _progress()
        self.task = self.progress.add_task("reading images", total=None, note="")

    def __enter__(self) -> Self:
        self.progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.progress.stop()

    def _say(self, line: str) -> None:
        """Print a line above the bars, without control sequences and without markup."""
        self.progress.console.print(escape.terminal(line), soft_wrap=True)


class RunProgress(_Bars, RunObserver):
    """A bar for the run and for each running trial, and a line for each trial that ends."""

    def __init__(self) -> None:
        super().__init__()
        self.running: dict[int, TaskID] = {}
        self.study: Study | None = None
        self.ended: list[Values | None] = []  # objectives of the ended trials that count
        self.waiting: set[int] = set()

    def on_start(self, study: Study, done: list[Values | None], waiting: list[int]) -> None:
        self.study, self.ended, self.waiting = study, list(done), set(waiting)
        if begun := self._begun():
            self._say(f"continuing after {begun} of {study.trials} trials")
        title = escape.terminal(f"{study.name}: trials")
        self.progress.update(self.task, description=title, total=study.trials)
        self._show_trials()

    def on_supernet_step(self, progress: float, epochs: int) -> None:
        title = "shared weights: epochs"
        self.progress.update(self.task, description=title, completed=progress, total=epochs)

    def on_supernet_epoch(self, result: EpochResult, epochs: int) -> None:
        accuracy, seconds = _accuracy(result), f"{result.seconds:.1f} s"
        loss = f"loss {result.loss:.3f}"
        self._say(f"shared weights: epoch {result.epoch}/{epochs}{accuracy} · {loss} · {seconds}")

    def on_trial(self, number: int, candidate: Candidate, price: Cost) -> None:
        assert self.study is not None
        title = f"trial {number}: depth {candidate.depth}, {text.count(price.ops)} OPs, epochs"
        total = self.study.candidate_epochs or None
        self.running[number] = self.progress.add_task(title, total=total, note="")

    def on_step(self, number: int, progress: float) -> None:
        if number in self.running:
            self.progress.update(self.running[number], completed=progress)

    def on_epoch(self, number: int, result: EpochResult) -> None:
        note = f"{result.epoch}{_accuracy(result)} · loss {result.loss:.2f}"
        if number in self.running:
            self.progress.update(self.running[number], note=note)

    def on_wait(self, number: int, epochs: int, accuracy: float) -> None:
        self._say(f"trial {number}: {text.percent(accuracy)} after {epochs} epochs, waiting")
        self.waiting.add(number)
        self._end_bar(number)
        self._show_trials()

    def on_trial_end(self, number: int, state: State, outcome: str, values: Values | None) -> None:
        described = _described(values) if values and state == "trained" else f"{state}: {outcome}"
        if state != "duplicate":
            self._say(f"trial {number}: {described}")
        self.waiting.discard(number)
        self._end_bar(number)
        if state in COUNTED:
            self.ended.append(values)
        self._show_trials()

    def on_remark(self, number: int, remark: str) -> None:
        self._say(f"trial {number}: {remark}")

    def on_search_end(self, reason: str) -> None:
        self._say(f"the search ends: {reason}")

    def on_member(self, number: int, how: How, accuracy: float, inherited: float) -> None:
        shares = f"{text.percent(accuracy)} {how}, {text.percent(inherited)} inherited"
        self._say(f"trial {number}: {shares}")

    def on_confirm(self, number: int, seed: int, accuracy: float, test_accuracy: float) -> None:
        shares = f"{text.percent(accuracy)}, {text.percent(test_accuracy)} on the test images"
        self._say(f"trial {number}, further seed {seed}: {shares}")

    def on_test(self, number: int, test_accuracy: float) -> None:
        self._say(f"trial {number}: {text.percent(test_accuracy)} on the test images")

    def _end_bar(self, number: int) -> None:
        if number in self.running:
            self.progress.remove_task(self.running.pop(number))

    def _show_trials(self) -> None:
        assert self.study is not None
        note = f"{self._begun()}/{self.study.trials}"
        if front := self._front():
            best = max(front, key=lambda values: values.get("accuracy", 0))
            note += f" · {len(front)} on the front, best {_described(best)}"
        self.progress.update(self.task, completed=self._begun(), note=note)

    def _begun(self) -> int:
        return len(self.ended) + len(self.waiting)

    def _front(self) -> list[Values]:
        trained = [values for values in self.ended if values is not None]
        if not trained or self.study is None:
            return []
        columns = {name: OBJECTIVES[name].column for name in self.study.objectives}
        table = pd.DataFrame(trained).rename(columns=columns)
        kept = moocore.is_nondominated(minimised(table, self.study))
        return list(itertools.compress(trained, kept))


class TrainingProgress(_Bars):
    """A bar for the training of one network, and a line for each epoch."""

    def on_start(self, candidate: Candidate, recipe: Recipe) -> None:
        """The images are read, and the training starts."""
        title = escape.terminal(f"{candidate.backbone} {candidate.depth}: epochs")
        self.progress.update(self.task, description=title, total=recipe.total_epochs)

    def on_step(self, progress: float) -> None:
        """A step of the training starts; ``progress`` counts epochs."""
        self.progress.update(self.task, completed=progress)

    def on_epoch(self, result: EpochResult) -> None:
        """An epoch ended and its checkpoint is saved."""
        accuracy, seconds = _accuracy(result), f"{result.seconds:.1f} s"
        self._say(f"epoch {result.epoch}{accuracy} · loss {result.loss:.3f} · {seconds}")


def _accuracy(result: EpochResult) -> str:
    """The validation accuracy of an epoch, if it was validated."""
    accuracy = result.validation_accuracy
    return "" if accuracy is None else f" · {text.percent(accuracy)}"


@contextmanager
def analysis_progress() -> Iterator[Callable[[str, int, int], None]]:
    """A bar for the steps of an analysis; yields the function to call before each step.

    Without a terminal, it prints a line each minute.
    """
    with _progress() as progress:
        task = progress.add_task("reading images", total=None, note="")
        said = time.monotonic()

        def on_step(step: str, done: int, total: int) -> None:
            note = f"{done}/{total}"
            shown = escape.terminal(step)
            progress.update(task, description=shown, completed=done, total=total, note=note)
            nonlocal said
            if progress.disable and time.monotonic() - said >= SECONDS_BETWEEN_LINES:
                said = time.monotonic()
                progress.console.print(f"{shown}: {note}", soft_wrap=True)

        yield on_step


def _described(values: Values) -> str:
    """Objectives as "97.9%, 163 k OPs"."""
    return ", ".join(OBJECTIVES[name].with_unit(value) for name, value in values.items())


def _progress() -> Progress:
    console = Console(stderr=True, highlight=False, markup=False, emoji=False)
    return Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=24),
        TextColumn("{task.fields[note]}", markup=False),
        TimeRemainingColumn(elapsed_when_finished=True),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )
