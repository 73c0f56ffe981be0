"""The end of a search: its networks are tested, and trained again from further seeds.

These are the front, or all networks if the study says so.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path

from ir2search.files import write_json
from ir2search.runs.backbones import shared_backbone
from ir2search.runs.hits import write_hits
from ir2search.runs.layout import BACKBONES, BEST, RESULT, TEST_FILE, seed_folder, trial_folder
from ir2search.runs.members import with_members
from ir2search.runs.records import trial_records
from ir2search.runs.storages import RunStudy
from ir2search.runs.tables import recorded_table, tested_trials
from ir2search.search.executors import Executor, ExecutorSettings, JobResult, TrainingJob
from ir2search.search.failures import record_failure
from ir2search.search.problem import Problem
from ir2search.seeds import training_seed
from ir2search.space import Candidate
from ir2search.study.schema import Study
from ir2search.training import Interrupted, load_network, topk_hits

Members = Sequence[tuple[int, Candidate]]  # number and candidate of each trial that is tested


def run_final_tests(
    problem: Problem, storage: RunStudy, settings: ExecutorSettings, executor: Executor
) -> None:
    """Test networks, and train them from further seeds if the study asks for that.

    What is done already is not done again.

    Raises:
        Interrupted: the driver was asked to stop.
    """
    members = _members(problem, storage, settings.folder)
    _test(members, settings)
    if problem.study.confirm is not None:
        _confirm(_further_seeds(problem.study, settings.folder, members), settings, executor)


def _members(problem: Problem, storage: RunStudy, folder: Path) -> Members:
    trials = storage.get_trials(deepcopy=False)
    records = trial_records(trials, problem.study)
    records = with_members(records, problem.study, partial(trial_folder, folder))
    table = recorded_table(records, problem.study)
    return [
        (int(number), problem.space.candidate(trials[number].params))
        for number in tested_trials(table, problem.study)["number"]
    ]


def _test(members: Members, settings: ExecutorSettings) -> None:
    """Measure each network on the test set, once."""
    context, device = settings.context, settings.devices[0]
    for number, candidate in members:
        folder = trial_folder(settings.folder, number)
        if (folder / TEST_FILE).exists():
            continue
        network = load_network(candidate, folder / BEST).to(device)
        splits = {"validation": context.data.validation, "test": context.test}
        hits = {
            name: topk_hits(network, context.data, split.to(device), 1)[:, 0].cpu().numpy()
            for name, split in splits.items()
        }
        write_hits(folder, hits)
        score = float(hits["test"].mean())
        write_json(folder / TEST_FILE, {"test_accuracy": score, "images": len(hits["test"])})
        settings.observer.on_test(number, score)


def _confirm(jobs: Iterable[TrainingJob], settings: ExecutorSettings, executor: Executor) -> None:
    """Train networks from further seeds."""
    observer = settings.observer
    for outcome in results_of(jobs, settings, executor):
        number, folder = outcome.job.number, outcome.job.folder
        if outcome.failure is not None:
            details = outcome.traceback
            reason = record_failure(settings.folder, folder, outcome.failure, details)
            observer.on_remark(number, f"further seed {folder.name} failed: {reason}")
        if outcome.result is None or outcome.test_accuracy is None:
            continue
        accuracy, test_accuracy = outcome.result.accuracy, outcome.test_accuracy
        write_json(folder / RESULT, {"accuracy": accuracy, "test_accuracy": test_accuracy})
        observer.on_confirm(number, int(folder.name), accuracy, test_accuracy)


def results_of(
    jobs: Iterable[TrainingJob], settings: ExecutorSettings, executor: Executor
) -> Iterator[JobResult]:
    """Run jobs, as many at a time as the executor takes, and yield how each ended.

    Raises:
        Interrupted: the driver was asked to stop.
    """
    todo, running = list(jobs), 0
    while todo or running:
        if settings.should_stop():
            executor.interrupt()
            todo.clear()
        while todo and running < executor.capacity():
            executor.submit(todo.pop(0))
            running += 1
        outcomes = executor.wait() if running else []
        running -= len(outcomes)
        yield from outcomes
    if settings.should_stop():
        raise Interrupted


def _further_seeds(study: Study, folder: Path, members: Members) -> Iterator[TrainingJob]:
    """The trainings from further seeds that have no result yet."""
    assert study.confirm is not None
    for number, candidate in members:
        for seed in range(1, study.confirm.seeds + 1):
            own = seed_folder(trial_folder(folder, number), seed)
            if not (own / RESULT).exists():
                derived = training_seed(study.seed, candidate.id, seed)
                start = shared_backbone(study, folder / BACKBONES, candidate, further_seed=seed)
                yield TrainingJob(number, candidate, own, seed=derived, start=start, tested=True)
