"""The driver of a study: asks Optuna for candidates, has them trained, tells what they gave."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from optuna.trial import FrozenTrial, Trial, TrialState

from ir2search.costs import Cost, cost
from ir2search.errors import CandidateError, StudyError
from ir2search.files import write_json
from ir2search.runs.backbones import shared_backbone
from ir2search.runs.layout import BEST, RESULT, TEST_FILE, trial_folder
from ir2search.runs.records import (
    Recorded,
    costs_of_record,
    read_record,
    state_of,
    trial_records,
    write_record,
)
from ir2search.runs.status import ENDED
from ir2search.runs.storages import RunStudy
from ir2search.runs.tables import front_of, recorded_table
from ir2search.search.confirm import further_seeds
from ir2search.search.driver_locks import DriverLocks
from ir2search.search.executors import (
    Executor,
    JobResult,
    TrainingContext,
    TrainingJob,
)
from ir2search.search.failures import failure_reason, full_traceback, record_failure
from ir2search.search.latency_timer import LatencyTimer
from ir2search.search.ledger import Ledger
from ir2search.search.limits import limit_reached
from ir2search.search.observer import RunObserver
from ir2search.search.samplers.proposals import ask, enqueue_new, goes_on
from ir2search.seeds import derive_seed
from ir2search.space import Candidate, SearchSpace
from ir2search.study.budget import over_budget, study_costs
from ir2search.study.schema import Study
from ir2search.training import Interrupted, TrainingResult, accuracy, load_network

EXHAUSTED = "the space holds no further candidate within the budget"
STALE_PROPOSALS = 2  # so many proposals in a row with nothing new: take a new point at random
POLL = 0.5  # seconds between looks at what other drivers do


class Driver:
    """One process's work on a study. It alone, or one of several, asks and tells.

    Args:
        study: what is asked.
        space: of the data's candidates.
        storage: the trials.
        folder: the run's.
        context: what all trainings have in common.
        device: where the front is tested.
        executor: trains.
        locks: keep several drivers apart.
        timer: times candidates, where the study asks for it.
        observer: told what happens.
        should_stop: asked between trainings.
    """

    def __init__(
        self,
        study: Study,
        space: SearchSpace,
        storage: RunStudy,
        folder: Path,
        context: TrainingContext,
        device: torch.device,
        executor: Executor,
        locks: DriverLocks,
        timer: LatencyTimer,
        observer: RunObserver,
        should_stop: Callable[[], bool],
    ) -> None:
        self.study, self.space, self.storage, self.folder = study, space, storage, folder
        self.context, self.device, self.executor, self.locks = context, device, executor, locks
        self.timer, self.observer, self.should_stop = timer, observer, should_stop
        self.ledger = Ledger(study, space)
        self.parked: dict[int, Trial] = {}  # wait at a rung
        self.left: dict[int, Trial] = {}  # were left running by a driver that is gone
        self.flying: dict[int, tuple[Trial, int]] = {}  # in the executor, with the level they go to
        self.elsewhere: set[int] = set()  # other drivers' that run
        self.over: str | None = None  # why nothing more is proposed
        self.began = time.monotonic()

    def run(self) -> None:
        """Take up what was left running, then propose until all is trained; then test."""
        with self.locks.deciding():
            self._read()
            self.storage.set_user_attr(ENDED, "")
        done = self.ledger.ended()
        self.observer.on_start(self.study, done, list(self.parked))
        self._search()
        if self._is_last():
            self._finish()

    def _search(self) -> None:
        while True:
            self._heed()
            with self.locks.deciding():
                if self.locks.shared:
                    self._read()
                self._fill()
            if self.flying:
                for outcome in self.executor.wait():
                    self._receive(outcome)
            elif self.elsewhere and self._limit() is None:
                time.sleep(POLL)
            else:
                return

    def _heed(self) -> None:
        """Stop, where that was asked for, once all that is in flight is on disk."""
        if not self.should_stop():
            return
        self.executor.interrupt()
        while self.flying:
            for outcome in self.executor.wait():
                self._receive(outcome)
        raise Interrupted

    def _read(self) -> None:
        """Learn from the storage what other drivers, or earlier sessions, did."""
        trials = self.storage.get_trials(deepcopy=False)
        self.ledger.queued = sum(trial.state == TrialState.WAITING for trial in trials)
        self.parked, self.left, self.elsewhere = {}, {}, set()
        self.ledger.underway &= self.flying.keys()
        for trial in trials:
            if trial.state == TrialState.WAITING or trial.number in self.flying:
                continue
            state = self.ledger.learn(trial)
            if state not in ("waiting", "unfinished"):
                continue
            recorded = read_record(trial)
            if not self.locks.is_free(recorded.driver):
                self.elsewhere.add(trial.number)
                if recorded.candidate_id is not None:
                    self.ledger.begin(trial.number, recorded.candidate_id)
                if recorded.cost is not None:
                    self.ledger.train(trial.number, trial.params, recorded.cost)
                continue
            own = self.storage.live_trial(trial.number)
            if self.ledger.ladder.has(trial.number, len(self.ledger.ladder.levels) - 1):
                self._complete(own)  # its driver was killed between the last rung and telling
            else:
                (self.parked if state == "waiting" else self.left)[trial.number] = own
        self.ledger.count([trial for trial in trials if self._is_proposed(trial)])

    def _fill(self) -> None:
        """Give the executor as many jobs as it has room for."""
        while len(self.flying) < self.executor.capacity() and not self.should_stop():
            if not self._start_next():
                return

    def _start_next(self) -> bool:
        """Start one training; False where there is none to start now."""
        while True:
            if self.left:
                trial = self.left.pop(min(self.left))
                if self._evaluate(trial):
                    return True
                continue
            if (reason := self._limit()) is not None:
                self._say_over(reason)
                return False
            climbed = self._climb()
            if climbed is not None:
                if climbed:
                    return True
                continue
            if self.over or len(self.ledger.begun) >= self.study.trials:
                return False
            must_be_new = self.ledger.stale >= STALE_PROPOSALS or self.study.sampler == "grid"
            asked = self.study, self.space, self.storage, self.ledger, self.timer
            if must_be_new and not enqueue_new(*asked):
                self._say_over(EXHAUSTED)
                return False
            if self._evaluate(ask(*asked)):
                return True

    def _say_over(self, reason: str) -> None:
        if self.over is None:
            self.observer.on_search_end(reason)
        self.over = reason

    def _limit(self) -> str | None:
        """Which of the study's limits is met, if any."""
        seconds = time.monotonic() - self.began
        ladder = self.ledger.ladder
        return limit_reached(
            self.study.stop, seconds, self.ledger.spent, ladder.begun(), ladder.finished()
        )

    def _climb(self) -> bool | None:
        """Go on with a trial that waits at a rung.

        True where it is on its way, False where it was ended instead, None where none may go on.
        """
        step = goes_on(self.study, self.space, self.ledger)
        if step is None:
            return None
        number, level = step
        trial = self.parked.pop(number)
        candidate = self.space.candidate(trial.params)
        price = cost(candidate)
        costs = costs_of_record(read_record(trial))
        if (better := self._betters(costs)) is not None:
            self._stop(trial, better)
            return False
        self._submit(trial, candidate, price, costs, level)
        return True

    def _is_proposed(self, trial: Trial | FrozenTrial) -> bool:
        """False for one whose driver was killed before all its parameters were written."""
        return trial.params.keys() == self.space.searched.keys()

    def _evaluate(self, trial: Trial) -> bool:
        """Start the training of a trial's candidate, or tell the study why not; True if started."""
        if not self._is_proposed(trial):
            self._end(trial, TrialState.FAIL, "interrupted before it was proposed")
            return False
        try:
            candidate = self.space.candidate(trial.params)
        except CandidateError as error:
            self._end(trial, TrialState.PRUNED, f"names no network: {error}")
            return False
        write_record(trial, Recorded(candidate_id=candidate.id, candidate=candidate.as_dict()))
        if self.ledger.seen.get(candidate.id, trial.number) != trial.number:
            self._repeat(trial, self.ledger.seen[candidate.id])
            return False
        try:
            price = cost(candidate)
            costs = self._costs(trial.number, candidate, price)
        except (MemoryError, StudyError) as error:
            self._fail(trial, failure_reason(error), full_traceback(error))
            return False
        refusal = over_budget(self.study, costs) or self._betters(costs)
        if refusal is not None:
            self._end(trial, TrialState.PRUNED, refusal)
            return False
        folder = trial_folder(self.folder, trial.number)
        write_json(folder / "candidate.json", candidate.as_dict())
        write_json(folder / "cost.json", price.as_dict())
        write_record(trial, Recorded(cost=costs))
        self._submit(trial, candidate, price, costs, 0)
        return True

    def _costs(self, number: int, candidate: Candidate, price: Cost) -> dict[str, Any]:
        """All costs that the study asks for; what is over the budget anyway is not timed."""
        costs = study_costs(self.study, candidate, price)
        if over_budget(self.study, costs) is None:
            costs |= self.timer.of_trial(candidate, trial_folder(self.folder, number))
        return costs

    def _submit(
        self,
        trial: Trial,
        candidate: Candidate,
        price: Cost,
        costs: Mapping[str, Any],
        level: int,
    ) -> None:
        """Have it trained to a rung, or to the end where that is the highest one."""
        self.locks.take(trial)
        self.ledger.begin(trial.number, candidate.id)
        self.ledger.train(trial.number, trial.params, costs)
        self.flying[trial.number] = (trial, level)
        self.observer.on_trial(trial.number, candidate, price)
        self.executor.submit(
            TrainingJob(
                trial.number,
                candidate,
                trial_folder(self.folder, trial.number),
                seed=derive_seed(self.study.seed, "train", candidate.id),
                start=shared_backbone(self.study, self.folder, candidate),
                until=self.ledger.ladder.levels[level],
            )
        )

    def _receive(self, outcome: JobResult) -> None:
        """Write down what became of a training."""
        trial, level = self.flying.pop(outcome.job.number)
        self.ledger.underway.remove(trial.number)
        if outcome.remark is not None:
            self.observer.on_remark(trial.number, outcome.remark)
        if outcome.failure is not None:
            self._fail(trial, outcome.failure, outcome.traceback)
        elif outcome.result is not None:
            self._measure(trial, level, outcome.result)

    def _measure(self, trial: Trial, level: int, result: TrainingResult) -> None:
        """Write down what a trial gave at a rung."""
        best, recorded = result.best, read_record(trial)
        epochs, rungs = self.ledger.ladder.levels[level], None
        if self.study.rungs is not None:
            rungs = (recorded.rungs or {}) | {epochs: best.validation_accuracy}
        write_record(
            trial,
            Recorded(
                seconds=result.seconds,
                best_epoch=best.epoch,
                accuracy=best.validation_accuracy,
                rungs=rungs,
            ),
        )
        price = costs_of_record(recorded)
        self.ledger.reach(trial.number, level, trial.params, price, best.validation_accuracy)
        if level + 1 < len(self.ledger.ladder.levels):
            self.parked[trial.number] = trial
            self.locks.release(trial)
            self.observer.on_wait(trial.number, epochs, best.validation_accuracy)
            return
        self._complete(trial)

    def _complete(self, trial: Trial) -> None:
        """End a trial that was trained to its end."""
        recorded = read_record(trial)
        assert recorded.accuracy is not None
        told = self.ledger.values(costs_of_record(recorded), recorded.accuracy)
        self._end(trial, TrialState.COMPLETE, "trained", list(told.values()))

    def _stop(self, trial: Trial, reason: str) -> None:
        """End a trial that waits at a rung."""
        epochs = max(read_record(trial).rungs or {0: 0.0})
        whole = self.study.recipe.epochs
        self._end(trial, TrialState.PRUNED, f"stopped after {epochs} of {whole} epochs: {reason}")

    def _betters(self, costs: Mapping[str, Any]) -> str | None:
        """A sentence on a trained trial that a candidate could not better with no error at all."""
        if "accuracy" not in self.study.objectives:
            return None
        ideal = self.ledger.minimised(costs, 1.0)
        for number, values in self.ledger.ladder.finished():
            if all(value <= best for value, best in zip(values, ideal, strict=True)):
                return f"even without any error it would not better trial {number}"
        return None

    def _repeat(self, trial: Trial, original: int) -> None:
        """Answer a candidate that was met before with what it gave, as far as that is known."""
        write_record(trial, Recorded(duplicate_of=original))
        state, values = self.ledger.outcomes.get(original, (TrialState.PRUNED, None))
        self._end(trial, state, f"same network as trial {original}", values)

    def _end(
        self, trial: Trial, state: TrialState, outcome: str, values: list[float] | None = None
    ) -> None:
        write_record(trial, Recorded(outcome=outcome))
        ended = self.storage.tell(trial, values, state)
        recorded = read_record(ended)
        self.ledger.end(trial.number, recorded, state, values)
        named = self.ledger.named(values)
        self.observer.on_trial_end(trial.number, state_of(ended.state, recorded), outcome, named)

    def _fail(self, trial: Trial, reason: str, details: str | None) -> None:
        """End a trial that cannot be trained; ``details`` is the traceback."""
        folder = trial_folder(self.folder, trial.number)
        outcome = record_failure(self.folder, folder, reason, details)
        self._end(trial, TrialState.FAIL, outcome)

    def _is_last(self) -> bool:
        """Whether no other driver trains for this study."""
        if not self.locks.shared:
            return True
        with self.locks.deciding():
            self._read()
        return not self.elsewhere

    def _finish(self) -> None:
        """End what waits at rungs, and look at the front once more."""
        with self.locks.finishing():
            with self.locks.deciding():
                if self.locks.shared:  # the driver before may have done it all
                    self._read()
                for number in sorted(self.parked):
                    self._stop(self.parked[number], "others of its rung went on")
                self.parked.clear()
            front = self._front()
            self._test(front)
            if self.study.confirm is not None:
                self._confirm(further_seeds(self.study, self.folder, front))
            self.storage.set_user_attr(ENDED, self.over or "all candidates are trained")

    def _front(self) -> list[tuple[int, Candidate]]:
        trials = self.storage.get_trials(deepcopy=False)
        table = recorded_table(trial_records(trials), self.study)
        return [
            (int(number), self.space.candidate(trials[number].params))
            for number in front_of(table, self.study)["number"]
        ]

    def _test(self, front: Iterable[tuple[int, Candidate]]) -> None:
        """Measure those front members on the test set that have not been, once each."""
        for number, candidate in front:
            folder = trial_folder(self.folder, number)
            if (folder / TEST_FILE).exists():
                continue
            test = self.context.test.to(self.device)
            network = load_network(candidate, folder / BEST).to(self.device)
            score = accuracy(network, self.context.data, test)
            write_json(folder / TEST_FILE, {"test_accuracy": score, "images": len(test)})
            self.observer.on_test(number, score)

    def _confirm(self, jobs: Iterable[TrainingJob]) -> None:
        """Train front members from further seeds."""
        for outcome in self._work_off(jobs):
            if outcome.failure is not None:
                folder, details = outcome.job.folder, outcome.traceback
                reason = record_failure(self.folder, folder, outcome.failure, details)
                self.observer.on_remark(
                    outcome.job.number, f"further seed {folder.name} failed: {reason}"
                )
            if outcome.result is None or outcome.test_accuracy is None:
                continue
            found = outcome.result.best.validation_accuracy, outcome.test_accuracy
            folder = outcome.job.folder
            write_json(
                folder / RESULT, dict(zip(("accuracy", "test_accuracy"), found, strict=True))
            )
            self.observer.on_confirm(outcome.job.number, int(folder.name), *found)

    def _work_off(self, jobs: Iterable[TrainingJob]) -> Iterator[JobResult]:
        """Have jobs done that are no trials, as many at once as the executor has room for."""
        todo, flying = list(jobs), 0
        while todo or flying:
            if self.should_stop():
                self.executor.interrupt()
                todo.clear()
            while todo and flying < self.executor.capacity():
                self.executor.submit(todo.pop(0))
                flying += 1
            outcomes = self.executor.wait() if flying else []
            flying -= len(outcomes)
            yield from outcomes
        if self.should_stop():
            raise Interrupted
