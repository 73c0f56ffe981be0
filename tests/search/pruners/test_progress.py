from __future__ import annotations

from ir2search.search.pruners.progress import Progress


def test_results_are_kept_by_trial_and_by_level() -> None:
    progress = Progress((1, 3, 9))
    progress.record(0, 0, (0.5, 2.0))
    progress.record(1, 0, (0.6, 1.0))
    progress.record(0, 1, (0.4, 2.0))
    progress.record(0, 2, (0.3, 2.0))
    assert progress.curve(0) == {0: (0.5, 2.0), 1: (0.4, 2.0), 2: (0.3, 2.0)}
    assert progress.at(0) == {0: (0.5, 2.0), 1: (0.6, 1.0)}
    assert progress.has(0, 2)
    assert not progress.has(1, 1)
    assert progress.measured() == [0, 1]
    assert progress.finished() == [(0, (0.3, 2.0))]
    assert progress.waiting() == [1]
    progress.end(1)
    assert progress.waiting() == []


def test_the_front_is_over_all_levels() -> None:
    progress = Progress((1, 3))
    assert progress.front() == set()
    progress.record(0, 0, (0.5, 1.0))
    progress.record(1, 0, (0.6, 2.0))
    progress.record(2, 1, (0.3, 3.0))
    assert progress.front() == {0, 2}
    progress.record(1, 1, (0.2, 2.0))
    assert progress.front() == {0, 1}
