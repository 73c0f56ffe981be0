from __future__ import annotations

from pathlib import Path

from replay import replay

import ir2search as ir
from ir2search.search.executors import TrainingJob
from ir2search.search.executors.curves import CurveFollower
from ir2search.training import EpochResult


class Heard(ir.RunObserver):
    def __init__(self) -> None:
        self.epochs: list[tuple[int, int]] = []

    def on_epoch(self, number: int, result: EpochResult) -> None:
        self.epochs.append((number, result.epoch))


def test_each_new_epoch_of_a_curve_is_reported_once(tmp_path: Path) -> None:
    heard, candidate = Heard(), ir.Candidate(depth=8)
    follower = CurveFollower(heard)
    jobs = [TrainingJob(number, candidate, tmp_path / str(number), seed=0) for number in (3, 4)]
    follower.follow(jobs)
    assert heard.epochs == []
    for until in (1, 2):
        replay(candidate, ir.Recipe(), None, jobs[0].folder, seed=0, until=until, weights=False)
        follower.follow(jobs)
        follower.follow(jobs)
    assert heard.epochs == [(3, 1), (3, 2)]
