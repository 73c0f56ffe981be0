"""The end of a search: the front is tested, and trained again from further seeds."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from ir2search.files import write_json
from ir2search.runs.layout import BEST, RESULT, TEST_FILE, trial_folder
from ir2search.runs.records import trial_records
from ir2search.runs.storages import RunStudy
from ir2search.runs.tables import front_of, recorded_table
from ir2search.search.confirm import further_seeds
from ir2search.search.driver_setup import DriverSetup
from ir2search.search.executors import JobResult, TrainingJob
from ir2search.search.failures import record_failure
from ir2search.search.problem import Problem
from ir2search.space import Candidate
from ir2search.training import Interrupted, accuracy, load_network


class FinalTests:
    """Measures the front on the test set, and trains it from further seeds where asked.

    Args:
        problem: the study and its space.
        storage: of the trials.
        setup: of the driver.
    """

    def __init__(self, problem: Problem, storage: RunStudy, setup: DriverSetup) -> None:
        self.study, self.space, self.storage = problem.study, problem.space, storage
        self.setup, self.executor, self.observer = setup, setup.executor, setup.observer

    def run(self) -> None:
        """Do what has not been done yet.

        Raises:
            Interrupted: the driver was asked to stop.
        """
        front = self._front()
        self._test(front)
        if self.study.confirm is not None:
            self._confirm(further_seeds(self.study, self.setup.folder, front))

    def _front(self) -> list[tuple[int, Candidate]]:
        trials = self.storage.get_trials(deepcopy=False)
        table = recorded_table(trial_records(trials), self.study)
        return [
            (int(number), self.space.candidate(trials[number].params))
            for number in front_of(table, self.study)["number"]
        ]

    def _test(self, front: Iterable[tuple[int, Candidate]]) -> None:
        """Measure each front member on the test set, once."""
        context, device = self.setup.context, self.setup.device
        for number, candidate in front:
            folder = trial_folder(self.setup.folder, number)
            if (folder / TEST_FILE).exists():
                continue
            test = context.test.to(device)
            network = load_network(candidate, folder / BEST).to(device)
            score = accuracy(network, context.data, test)
            write_json(folder / TEST_FILE, {"test_accuracy": score, "images": len(test)})
            self.observer.on_test(number, score)

    def _confirm(self, jobs: Iterable[TrainingJob]) -> None:
        """Train front members from further seeds."""
        for outcome in self._results(jobs):
            number, folder = outcome.job.number, outcome.job.folder
            if outcome.failure is not None:
                details = outcome.traceback
                reason = record_failure(self.setup.folder, folder, outcome.failure, details)
                self.observer.on_remark(number, f"further seed {folder.name} failed: {reason}")
            if outcome.result is None or outcome.test_accuracy is None:
                continue
            found = outcome.result.best.validation_accuracy, outcome.test_accuracy
            write_json(
                folder / RESULT, dict(zip(("accuracy", "test_accuracy"), found, strict=True))
            )
            self.observer.on_confirm(number, int(folder.name), *found)

    def _results(self, jobs: Iterable[TrainingJob]) -> Iterator[JobResult]:
        """The results of jobs, as many at once as the executor has room for."""
        todo, running = list(jobs), 0
        while todo or running:
            if self.setup.should_stop():
                self.executor.interrupt()
                todo.clear()
            while todo and running < self.executor.capacity():
                self.executor.submit(todo.pop(0))
                running += 1
            outcomes = self.executor.wait() if running else []
            running -= len(outcomes)
            yield from outcomes
        if self.setup.should_stop():
            raise Interrupted
