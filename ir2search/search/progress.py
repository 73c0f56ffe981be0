"""The progress of a run, as bars and lines."""

from __future__ import annotations

import itertools

import moocore
import pandas as pd
from rich.progress import TaskID

from ir2search import text
from ir2search.bars import Bars, left
from ir2search.costs import Cost
from ir2search.runs.records import COUNTED, How, State
from ir2search.runs.tables import minimised
from ir2search.search.observer import RunObserver
from ir2search.search.time_left import TimeLeft
from ir2search.space import Candidate
from ir2search.study.objectives import OBJECTIVES
from ir2search.study.schema import Study
from ir2search.training import EpochResult
from ir2search.zoo.progress import described

Values = dict[str, float]


class RunProgress(Bars, RunObserver):
    """A bar for the run and for each running trial, and a line for each trial that ends."""

    def __init__(self) -> None:
        super().__init__()
        self.running: dict[int, TaskID] = {}
        self.study: Study | None = None
        self.ended: list[Values | None] = []  # objectives of the ended trials that count
        self.waiting: set[int] = set()
        self.time_left: TimeLeft | None = None

    def on_start(self, study: Study, done: list[Values | None], waiting: list[int]) -> None:
        self.study, self.ended, self.waiting = study, list(done), set(waiting)
        self.time_left = TimeLeft(study) if study.supernet is None else None
        if begun := self._begun():
            self.say(f"continuing after {begun} of {study.trials} trials")
        self.update(self.task, title=f"{study.name}: trials", total=study.trials)
        self._show_trials()

    def on_supernet_step(self, progress: float, epochs: int) -> None:
        title = "shared weights: epochs"
        self.update(self.task, title=title, completed=progress, total=epochs)
        if self.take_line_turn():
            self.say(f"{title} {progress:.1f}/{epochs}")

    def on_supernet_epoch(self, result: EpochResult, epochs: int) -> None:
        epoch = f"epoch {result.epoch}/{epochs}{described(result)}"
        self.say(f"shared weights: {epoch} · {result.seconds:.1f} s")

    def on_trial(self, number: int, candidate: Candidate, price: Cost) -> None:
        assert self.study is not None
        title = f"trial {number}: depth {candidate.depth}, {text.count(price.ops)} OPs, epochs"
        total = self.study.candidate_epochs or None
        self.running[number] = self.add(title, total)

    def on_step(self, number: int, progress: float) -> None:
        if number in self.running:
            self.update(self.running[number], completed=progress)
        if self.time_left is not None:
            self.time_left.step(number, progress)
        if self.study is not None:
            seconds = self._seconds_left()
            self.update(self.task, left=seconds)
            if self.take_line_turn():
                done = f"{self._begun()} of {self.study.trials} trials done"
                self.say(f"trial {number}: {progress:.1f} epochs; {done}{left(seconds)}")

    def on_epoch(self, number: int, result: EpochResult) -> None:
        note = f"{result.epoch}{described(result, 2)}"
        if number in self.running:
            self.update(self.running[number], note=note)

    def on_wait(self, number: int, epochs: int, accuracy: float) -> None:
        trained = text.counted(epochs, "epoch")
        self.say(f"trial {number}: {text.percent(accuracy)} after {trained}, waiting")
        self.waiting.add(number)
        self._end(number)
        self._show_trials()

    def on_trial_end(self, number: int, state: State, outcome: str, values: Values | None) -> None:
        shown = _objectives_text(values) if values and state == "trained" else f"{state}: {outcome}"
        if state != "duplicate":
            self.say(f"trial {number}: {shown}")
        self.waiting.discard(number)
        self._end(number)
        if state in COUNTED:
            self.ended.append(values)
        self._show_trials()

    def on_remark(self, number: int, remark: str) -> None:
        self.say(f"trial {number}: {remark}")

    def on_search_end(self, reason: str) -> None:
        self.say(f"the search ends: {reason}")

    def on_member(self, number: int, how: How, accuracy: float, inherited: float) -> None:
        shares = f"{text.percent(accuracy)} {how}, {text.percent(inherited)} inherited"
        self.say(f"trial {number}: {shares}")

    def on_confirm(self, number: int, seed: int, accuracy: float, test_accuracy: float) -> None:
        shares = f"{text.percent(accuracy)}, {text.percent(test_accuracy)} on the test images"
        self.say(f"trial {number}, further seed {seed}: {shares}")

    def on_test(self, number: int, test_accuracy: float) -> None:
        self.say(f"trial {number}: {text.percent(test_accuracy)} on the test images")

    def _end(self, number: int) -> None:
        if self.time_left is not None:
            self.time_left.end(number)
        if number in self.running:
            self.remove(self.running.pop(number))

    def _show_trials(self) -> None:
        assert self.study is not None
        note = f"{self._begun()}/{self.study.trials}"
        if front := self._front():
            best = max(front, key=lambda values: values.get("accuracy", 0))
            note += f" · {len(front)} on the front, best {_objectives_text(best)}"
        self.update(self.task, completed=self._begun(), note=note)

    def _seconds_left(self) -> float | None:
        if self.time_left is None:
            return None
        return self.time_left.seconds(self._begun(), len(self._tested()))

    def _begun(self) -> int:
        return len(self.ended) + len(self.waiting)

    def _tested(self) -> list[Values]:
        return self._trained() if self.study and self.study.confirms_all else self._front()

    def _trained(self) -> list[Values]:
        return [values for values in self.ended if values is not None]

    def _front(self) -> list[Values]:
        trained = self._trained()
        if not trained or self.study is None:
            return []
        columns = {name: OBJECTIVES[name].column for name in self.study.objectives}
        table = pd.DataFrame(trained).rename(columns=columns)
        kept = moocore.is_nondominated(minimised(table, self.study))
        return list(itertools.compress(trained, kept))


def _objectives_text(values: Values) -> str:
    """Objectives as "97.9%, 163 k OPs"."""
    return ", ".join(OBJECTIVES[name].with_unit(value) for name, value in values.items())
