"""The driver of a study: proposes candidates, has them trained, and records the results."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from enum import Enum, auto

from optuna.trial import FrozenTrial, Trial, TrialState, create_trial

from ir2search.costs import cost
from ir2search.errors import CandidateError, StudyError
from ir2search.files import write_json
from ir2search.runs.backbones import shared_backbone
from ir2search.runs.layout import BACKBONES, CANDIDATE_FILE, COST_FILE, trial_folder
from ir2search.runs.records import (
    TrialAttributes,
    read_attributes,
    retries,
    state_of,
    write_attributes,
)
from ir2search.runs.storages import ENDED, RunStudy
from ir2search.runs.supernets import run_supernet
from ir2search.search.confirm import run_final_tests
from ir2search.search.driver_locks import DriverLocks
from ir2search.search.executors import Executor, ExecutorSettings, TrainingJob
from ir2search.search.failures import failure_reason, full_traceback
from ir2search.search.ledger import Ledger
from ir2search.search.limits import limit_reached
from ir2search.search.members import train_members
from ir2search.search.problem import PricedCandidate, Problem
from ir2search.search.pruners.base import Promotion
from ir2search.search.pruners.halving import best_waiting
from ir2search.search.recorder import TrialRecorder
from ir2search.search.samplers.base import Point
from ir2search.search.samplers.registry import check_point, errors_named, make_sampler
from ir2search.seeds import training_seed
from ir2search.space import Candidate
from ir2search.training import Interrupted, TrainingResult

EXHAUSTED = "the space holds no further candidate within the budget"
MAX_UNTRAINED = 2  # after this many proposals without a training, a new point is random
POLL = 0.5  # seconds between two reads of what other drivers did


class _Step(Enum):
    """The result of an attempt to start a training."""

    STARTED = auto()
    SKIPPED = auto()  # a trial ended without training: try again
    NOTHING = auto()  # no training can start now


@dataclass(frozen=True)
class _Running:
    trial: Trial
    level: int  # the rung that it is trained to


@dataclass(frozen=True)
class _Unfinished:
    """A trial that a driver left without a result when it ended.

    Attributes:
        trial: as the storage has it.
        order: position of its training among those of the run; infinite if it had not begun.
        level: the rung that it was trained to; None if its training had not begun.
    """

    trial: Trial
    order: float = math.inf
    level: int | None = None


class Driver:
    """One process's work on a study, alone or beside the drivers of other processes.

    Args:
        problem: the study, its space, and what candidates cost.
        storage: of the trials.
        settings: the folder, the images, the observer and the device on which the front is tested.
        executor: trains the candidates.
        locks: tell which driver works on which trial.
    """

    def __init__(
        self,
        problem: Problem,
        storage: RunStudy,
        settings: ExecutorSettings,
        executor: Executor,
        locks: DriverLocks,
    ) -> None:
        self.problem, self.storage, self.settings = problem, storage, settings
        self.study, self.space = problem.study, problem.space
        self.folder, self.executor, self.locks = settings.folder, executor, locks
        self.supernet = run_supernet(self.study, self.folder, settings.context.data)
        self.observer, self.should_stop = settings.observer, settings.should_stop
        self.ledger = Ledger(self.study, self.space)
        self.recorder = TrialRecorder(storage, self.ledger, settings)
        self.sampler = make_sampler(problem, self.ledger)
        self.pruner = self.sampler.pruner()
        self.running: dict[int, _Running] = {}  # trials in this driver's executor
        self.running_elsewhere: set[int] = set()  # trials of other drivers
        self.waiting_at_rung: dict[int, Trial] = {}
        self.unfinished: list[_Unfinished] = []  # of drivers that ended
        self.end_reason: str | None = None  # why nothing more is proposed
        self.started_at = time.monotonic()

    def run(self, retry_failed: bool = False) -> None:
        """Search to the end, then test the front, unless another driver still trains."""
        self.resume(retry_failed)
        self.search()
        if self._is_last():
            self._finish()

    def resume(self, retry_failed: bool = False) -> None:
        """Read what earlier sessions and other drivers did."""
        with self.locks.deciding():
            if retry_failed:
                self._retry_failed()
            self._read()
            self.storage.set_user_attr(ENDED, "")
        interrupted = [each.trial.number for each in self.unfinished if each.level]
        waiting = [*self.waiting_at_rung, *interrupted]
        self.observer.on_start(self.study, self.ledger.ended(), waiting)

    def search(self) -> None:
        """Propose and train candidates until the search ends.

        Raises:
            Interrupted: the driver was asked to stop.
        """
        while True:
            self._stop_if_asked()
            with self.locks.deciding():
                if self.locks.shared:
                    self._read()
                self._fill()
            if self.running:
                self._receive()
            elif self.running_elsewhere and self._limit() is None:
                time.sleep(POLL)
            else:
                return

    def _stop_if_asked(self) -> None:
        """Wait for running jobs to save a checkpoint, then raise Interrupted."""
        if not self.should_stop():
            return
        self.executor.interrupt()
        while self.running:
            self._receive()
        raise Interrupted

    def _retry_failed(self) -> None:
        """Begin a new trial for each failed one. Optuna does not change a trial that has ended."""
        trials = self.storage.get_trials(deepcopy=False)
        retried = retries(trials)
        for trial in trials:
            is_failed = state_of(trial.state, read_attributes(trial)) == "failed"
            if is_failed and trial.number not in retried:
                new = create_trial(
                    state=TrialState.RUNNING,
                    params=trial.params,
                    distributions=trial.distributions,
                    user_attrs={"retry_of": trial.number},
                )
                self.storage.add_trial(new)

    def _read(self) -> None:
        """Read from the storage what earlier sessions and other drivers did."""
        trials = self.storage.get_trials(deepcopy=False)
        self.ledger.queued = sum(trial.state == TrialState.WAITING for trial in trials)
        self.waiting_at_rung, self.unfinished, self.running_elsewhere = {}, [], set()
        self.ledger.running &= self.running.keys()
        results = []
        for number in retries(trials).keys() - self.ledger.retried:
            self.ledger.forget(number)
        for trial in trials:
            if trial.state == TrialState.WAITING or trial.number in self.running:
                continue
            results += self.ledger.read(trial)
            if trial.state == TrialState.RUNNING:
                self._take_over(trial)
        with errors_named(self.study.sampler):
            # as they came in an uninterrupted run: a sampler may depend on the order
            self.sampler.resume(sorted(results, key=lambda result: result.order))
        proposed = [trial for trial in trials if self._is_proposed(trial)]
        self.ledger.count([each for each in proposed if "retry_of" not in each.user_attrs])

    def _take_over(self, trial: FrozenTrial) -> None:
        """Take an unfinished trial, unless another driver works on it."""
        recorded = read_attributes(trial)
        if not self.locks.is_free(recorded.driver):
            self.running_elsewhere.add(trial.number)
            if recorded.candidate_id is not None:
                self.ledger.start(trial.number, recorded.candidate_id)
            if recorded.cost is not None:
                self.ledger.mark_running(trial.number, self.ledger.stored(trial, recorded))
            return
        own = self.storage.live_trial(trial.number)
        if self.ledger.progress.has(trial.number, len(self.ledger.progress.levels) - 1):
            self.recorder.complete(own)  # its driver was killed before it did so
            return
        level = self._level_in_training(trial.number, recorded)
        if level is not None:
            order = math.inf if recorded.order is None else recorded.order
            self.unfinished.append(_Unfinished(own, order, level))
        elif state_of(trial.state, recorded) == "waiting":
            self.waiting_at_rung[trial.number] = own
        else:
            self.unfinished.append(_Unfinished(own))

    def _level_in_training(self, number: int, recorded: TrialAttributes) -> int | None:
        """The rung to which an unfinished trial was being trained; None if it was not."""
        progress = self.ledger.progress
        if recorded.cost is None or recorded.target_epochs not in progress.levels:
            return None
        level = progress.levels.index(recorded.target_epochs)
        return None if progress.has(number, level) else level

    def _fill(self) -> None:
        """Start trainings until the executor is full."""
        while len(self.running) < self.executor.capacity() and not self.should_stop():
            if self._start_next() is _Step.NOTHING:
                return

    def _start_next(self) -> _Step:
        """Start one training: of an unfinished trial, a waiting trial, or a new candidate."""
        if self.unfinished:
            return self._continue_first()
        if (reason := self._limit()) is not None:
            return self._end_search(reason)
        if (promotion := self._promoted()) is not None:
            return self._train_further(promotion)
        if self.end_reason is not None or len(self.ledger.started) >= self.study.trials:
            return self._train_best()
        trial = self._propose()
        return self._end_search(EXHAUSTED) if trial is None else self._evaluate(trial)

    def _continue_first(self) -> _Step:
        """Continue the unfinished trial whose training began first."""
        first = min(self.unfinished, key=lambda each: each.order)
        self.unfinished.remove(first)
        if first.level is None:
            return self._evaluate(first.trial)
        recorded = read_attributes(first.trial)
        priced = self.ledger.stored(first.trial, recorded)
        return self._submit(first.trial, priced, first.level, recorded.order)

    def _promoted(self) -> Promotion | None:
        """The pruner's choice; None to begin a new trial.

        Raises:
            StudyError: a registered sampler's pruner fails, or its choice cannot be trained.
        """
        name, progress = self.study.sampler, self.ledger.progress
        with errors_named(name):
            promotion = self.pruner.next(self.ledger.running)
        if promotion is None:
            return None
        number, level = promotion
        if number not in self.waiting_at_rung:
            reason = f"trial {number}, which does not wait at a rung"
        elif not 0 < level < len(progress.levels) or progress.has(number, level):
            reason = f"rung {level} for trial {number}, which cannot be trained to it"
        else:
            return promotion
        raise StudyError(
            f"sampler {name!r}: its pruner {type(self.pruner).__name__} chose {reason}"
        )

    def _limit(self) -> str | None:
        """The limit of the study that is reached, in words, or None."""
        seconds, ledger = time.monotonic() - self.started_at, self.ledger
        return limit_reached(self.study.stop, seconds, ledger.epochs_spent, ledger.progress)

    def _end_search(self, reason: str) -> _Step:
        if self.end_reason is None:
            self.observer.on_search_end(reason)
        self.end_reason = reason
        return _Step.NOTHING

    def _train_further(self, promotion: Promotion) -> _Step:
        """Train a waiting trial to its next rung, or stop it if it is dominated now."""
        trial = self.waiting_at_rung.pop(promotion.number)
        priced = self.ledger.stored(trial, read_attributes(trial))
        if (reason := self.ledger.why_dominated(priced.costs)) is not None:
            self.recorder.stop(trial, reason)
            return _Step.SKIPPED
        return self._submit(trial, priced, promotion.level)

    def _train_best(self) -> _Step:
        """If no trial reached the end, train the best one of the highest rung further."""
        busy = self.running or self.running_elsewhere
        promotion = None if busy else best_waiting(self.ledger.progress)
        return _Step.NOTHING if promotion is None else self._train_further(promotion)

    def _propose(self) -> Trial | None:
        """Begin a trial with the point that the sampler proposes; None if no point is left."""
        number = self.ledger.proposed
        if self.ledger.queued:  # an earlier session was killed between proposing and starting
            self.ledger.queued -= 1
        else:
            point = self._next_point(number)
            if point is None:
                return None
            if point:
                self.storage.enqueue_trial(dict(point))
        self.storage.sampler = self.sampler.optuna_sampler(number)
        self.ledger.proposed += 1
        self.ledger.untrained += 1
        return self.storage.ask(self.sampler.distributions)

    def _next_point(self, number: int) -> Point | None:
        """The sampler's next point; a random new one after `MAX_UNTRAINED` proposals."""
        name = self.study.sampler
        with errors_named(name):
            if self.ledger.untrained >= MAX_UNTRAINED:
                return next(self.sampler.new_points(number), None)
            point = self.sampler.propose(number)
        if point:
            check_point(name, point, self.sampler.distributions)
        return point

    def _is_proposed(self, trial: Trial | FrozenTrial) -> bool:
        """Whether all parameters of a trial are stored; a killed driver may have stored a few."""
        return trial.params.keys() == self.space.searched.keys()

    def _evaluate(self, trial: Trial) -> _Step:
        """Start the training of a new trial, unless there is a reason not to train it."""
        candidate = self._new_candidate(trial)
        priced = None if candidate is None else self._priced(trial, candidate)
        if priced is None:
            return _Step.SKIPPED
        folder = trial_folder(self.folder, trial.number)
        write_json(folder / CANDIDATE_FILE, priced.candidate.as_dict())
        write_json(folder / COST_FILE, cost(priced.candidate).as_dict())
        write_attributes(trial, TrialAttributes(cost=dict(priced.costs)))
        return self._submit(trial, priced, 0)

    def _new_candidate(self, trial: Trial) -> Candidate | None:
        """The new candidate of a trial; if there is none, end the trial and return None."""
        if not self._is_proposed(trial):
            self.recorder.abandon(trial)
            return None
        try:
            candidate = self.space.candidate(trial.params)
        except CandidateError as error:
            self.recorder.reject(trial, f"not a network: {error}")
            return None
        write_attributes(
            trial, TrialAttributes(candidate_id=candidate.id, candidate=candidate.as_dict())
        )
        original = self.ledger.trial_of.get(candidate.id, trial.number)
        if original != trial.number:
            self.recorder.repeat(trial, original)
            return None
        return candidate

    def _priced(self, trial: Trial, candidate: Candidate) -> PricedCandidate | None:
        """A candidate with its costs. If they rule it out, end the trial and return None."""
        try:
            costs = self.problem.counted(candidate)
            if self.study.over_budget(costs) is None:
                folder = trial_folder(self.folder, trial.number)
                costs |= self.problem.timer.trial_costs(candidate, folder)
        except (MemoryError, StudyError) as error:
            self.recorder.fail(trial, failure_reason(error), full_traceback(error))
            return None
        reason = self.study.over_budget(costs) or self.ledger.why_dominated(costs)
        if reason is not None:
            self.recorder.reject(trial, reason)
            return None
        return PricedCandidate(trial.params, candidate, costs)

    def _submit(
        self, trial: Trial, priced: PricedCandidate, level: int, order: int | None = None
    ) -> _Step:
        """Train a trial to a rung; rungs count from 0, and the last is the end of the training.

        ``order`` is the position of the training among those of the run; None for the next one.
        """
        candidate, epochs = priced.candidate, self.ledger.progress.levels[level]
        self.locks.take(trial)
        if order is None:
            order = self.ledger.trainings
            self.ledger.trainings += 1
        write_attributes(trial, TrialAttributes(order=order, target_epochs=epochs))
        self.ledger.start(trial.number, candidate.id)
        self.ledger.mark_running(trial.number, priced)
        self.running[trial.number] = _Running(trial, level)
        self.observer.on_trial(trial.number, candidate, cost(candidate))
        self.executor.submit(
            TrainingJob(
                trial.number,
                candidate,
                trial_folder(self.folder, trial.number),
                seed=training_seed(self.study.seed, candidate.id),
                start=shared_backbone(self.study, self.folder / BACKBONES, candidate),
                until=epochs,
                supernet=self.supernet,
            )
        )
        return _Step.STARTED

    def _receive(self) -> None:
        """Wait for jobs to end, and record their results."""
        for outcome in self.executor.wait():
            running = self.running.pop(outcome.job.number)
            self.ledger.running.remove(outcome.job.number)
            if outcome.remark is not None:
                self.observer.on_remark(outcome.job.number, outcome.remark)
            if outcome.failure is not None:
                self.recorder.fail(running.trial, outcome.failure, outcome.traceback)
            elif outcome.result is not None:
                self._receive_result(running, outcome.result)

    def _receive_result(self, running: _Running, result: TrainingResult) -> None:
        """Record the result of a trial at a rung. The trial then waits, or is complete."""
        trial, level, levels = running.trial, running.level, self.ledger.progress.levels
        reached = self.recorder.reach(trial, level, result)
        with errors_named(self.study.sampler):
            self.sampler.learn(reached)
        if level + 1 == len(levels):
            self.recorder.complete(trial)
            return
        self.waiting_at_rung[trial.number] = trial
        self.locks.release(trial)
        self.observer.on_wait(trial.number, levels[level], result.accuracy)

    def _is_last(self) -> bool:
        """Whether no other driver trains for this study."""
        if not self.locks.shared:
            return True
        with self.locks.deciding():
            self._read()
        return not self.running_elsewhere

    def _finish(self) -> None:
        """Stop the trials that wait at rungs, train the front if asked for, and test it."""
        with self.locks.finishing():
            with self.locks.deciding():
                if self.locks.shared:  # another driver may have finished meanwhile
                    self._read()
                for number in sorted(self.waiting_at_rung):
                    trial = self.waiting_at_rung[number]
                    self.recorder.stop(trial, "others of its rung went on")
                self.waiting_at_rung.clear()
            own = self.problem, self.storage, self.settings, self.executor
            if self.supernet is not None:
                train_members(self.supernet, *own)
            run_final_tests(*own)
            self.storage.set_user_attr(ENDED, self.end_reason or "all candidates are trained")
