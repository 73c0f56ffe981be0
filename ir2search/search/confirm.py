"""The end of a search: the front is tested, and trained again from further seeds."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import pandas as pd

from ir2search.files import write_json
from ir2search.runs.backbones import shared_backbone
from ir2search.runs.layout import BEST, RESULT, TEST_FILE, seed_folder, trial_folder
from ir2search.runs.records import trial_records
from ir2search.runs.storages import RunStudy
from ir2search.runs.tables import front_of, recorded_table
from ir2search.search.executors import Executor, ExecutorSettings, JobResult, TrainingJob
from ir2search.search.failures import record_failure
from ir2search.search.problem import Problem
from ir2search.seeds import training_seed
from ir2search.space import Candidate
from ir2search.study.schema import Study
from ir2search.training import Interrupted, accuracy, load_network

SIGNIFICANCE = 0.05

Members = Sequence[tuple[int, Candidate]]  # number and candidate of each trial on the front


def indistinguishable(front: pd.DataFrame) -> list[list[int]]:
    """For each member of a front, the numbers of the members without a significant difference.

    The mean validation accuracies over seeds are compared by Welch's t-test (Welch, "The
    generalization of Student's problem ...", Biometrika 1947) at `SIGNIFICANCE`. Members with a
    single seed are not compared.
    """
    samples = {
        int(number): list(values)
        for number, values in zip(front["number"], front["seed_accuracies"], strict=True)
    }
    return [
        [other for other in samples if other != number and _may_be_same(own, samples[other])]
        for number, own in samples.items()
    ]


class FinalTests:
    """Tests the front, and trains it from further seeds if the study asks for that."""

    def __init__(
        self, problem: Problem, storage: RunStudy, settings: ExecutorSettings, executor: Executor
    ) -> None:
        self.study, self.space, self.storage = problem.study, problem.space, storage
        self.settings, self.executor, self.observer = settings, executor, settings.observer

    def run(self) -> None:
        """Do what has not been done yet.

        Raises:
            Interrupted: the driver was asked to stop.
        """
        front = self._front()
        self._test(front)
        if self.study.confirm is not None:
            self._confirm(_further_seeds(self.study, self.settings.folder, front))

    def _front(self) -> Members:
        trials = self.storage.get_trials(deepcopy=False)
        table = recorded_table(trial_records(trials, self.study), self.study)
        return [
            (int(number), self.space.candidate(trials[number].params))
            for number in front_of(table, self.study)["number"]
        ]

    def _test(self, front: Members) -> None:
        """Measure each front member on the test set, once."""
        context, device = self.settings.context, self.settings.devices[0]
        for number, candidate in front:
            folder = trial_folder(self.settings.folder, number)
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
                reason = record_failure(self.settings.folder, folder, outcome.failure, details)
                self.observer.on_remark(number, f"further seed {folder.name} failed: {reason}")
            if outcome.result is None or outcome.test_accuracy is None:
                continue
            found = outcome.result.accuracy, outcome.test_accuracy
            write_json(
                folder / RESULT, dict(zip(("accuracy", "test_accuracy"), found, strict=True))
            )
            self.observer.on_confirm(number, int(folder.name), *found)

    def _results(self, jobs: Iterable[TrainingJob]) -> Iterator[JobResult]:
        """Run jobs, as many at a time as the executor takes."""
        todo, running = list(jobs), 0
        while todo or running:
            if self.settings.should_stop():
                self.executor.interrupt()
                todo.clear()
            while todo and running < self.executor.capacity():
                self.executor.submit(todo.pop(0))
                running += 1
            outcomes = self.executor.wait() if running else []
            running -= len(outcomes)
            yield from outcomes
        if self.settings.should_stop():
            raise Interrupted


def _further_seeds(study: Study, folder: Path, front: Members) -> Iterator[TrainingJob]:
    """The trainings from further seeds that have no result yet."""
    assert study.confirm is not None
    for number, candidate in front:
        for seed in range(1, study.confirm.seeds + 1):
            own = seed_folder(trial_folder(folder, number), seed)
            if not (own / RESULT).exists():
                derived = training_seed(study.seed, candidate.id, seed)
                start = shared_backbone(study, folder, candidate, further_seed=seed)
                yield TrainingJob(number, candidate, own, seed=derived, start=start, tested=True)


def _may_be_same(one: list[float], other: list[float]) -> bool:
    if min(len(one), len(other)) < 2:
        return False
    if len({*one, *other}) == 1:
        return True
    if len(set(one)) == len(set(other)) == 1:
        return False
    from scipy.stats import ttest_ind

    return bool(ttest_ind(one, other, equal_var=False).pvalue > SIGNIFICANCE)
