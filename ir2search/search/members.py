"""The end of a search with shared weights: its front is fine-tuned, or trained from scratch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Literal

from ir2search.runs.layout import trial_folder
from ir2search.runs.members import Member, keep_member, member_epochs, member_folder, read_member
from ir2search.runs.records import trial_records
from ir2search.runs.storages import RunStudy
from ir2search.runs.supernets import RunSupernet
from ir2search.runs.tables import front_of, recorded_table
from ir2search.search.confirm import results_of
from ir2search.search.executors import Executor, ExecutorSettings, TrainingJob
from ir2search.search.failures import record_failure
from ir2search.search.problem import Problem
from ir2search.seeds import training_seed
from ir2search.space import Candidate
from ir2search.study.schema import Study


def train_members(
    supernet: RunSupernet,
    problem: Problem,
    storage: RunStudy,
    settings: ExecutorSettings,
    executor: Executor,
) -> None:
    """Train the front by inherited accuracy, as ``members`` in ``[supernet]`` says.

    What is trained already is not trained again.

    Raises:
        Interrupted: the driver was asked to stop.
    """
    study = problem.study
    assert study.supernet is not None
    how = study.supernet.members
    if how == "inherited":
        return
    trials = storage.get_trials(deepcopy=False)
    front = front_of(recorded_table(trial_records(trials, study), study), study)
    inherited = dict(zip(map(int, front["number"]), map(float, front["accuracy"]), strict=True))
    networks = {number: problem.space.candidate(trials[number].params) for number in inherited}
    jobs = _jobs(how, networks, supernet, study, settings.folder)
    for outcome in results_of(jobs, settings, executor):
        number, folder = outcome.job.number, outcome.job.folder
        if outcome.failure is not None:
            reason = record_failure(settings.folder, folder, outcome.failure, outcome.traceback)
            settings.observer.on_remark(number, f"is not {how}: {reason}")
        if outcome.result is None:
            continue
        member = Member(
            how=how,
            epochs=member_epochs(study),
            accuracy=outcome.result.accuracy,
            best_epoch=outcome.result.best.epoch,
            seconds=outcome.result.seconds,
        )
        keep_member(trial_folder(settings.folder, number), member)
        settings.observer.on_member(number, how, member.accuracy, inherited[number])


def _jobs(
    how: Literal["fine-tuned", "trained"],
    networks: Mapping[int, Candidate],
    supernet: RunSupernet,
    study: Study,
    run_folder: Path,
) -> Iterator[TrainingJob]:
    """The trainings that have no result yet; ``networks`` has the front by number."""
    epochs, is_fine_tuned = member_epochs(study), how == "fine-tuned"
    for number, candidate in networks.items():
        folder = trial_folder(run_folder, number)
        done = read_member(folder)
        if done is not None and (done.how, done.epochs) == (how, epochs):
            continue
        yield TrainingJob(
            number,
            candidate,
            member_folder(folder, how, epochs),
            seed=training_seed(study.seed, candidate.id),
            supernet=supernet if is_fine_tuned else None,
            finetune=epochs if is_fine_tuned else None,
        )
