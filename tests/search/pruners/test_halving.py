from __future__ import annotations

import itertools

import moocore
import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from ir2search.search.pruners.halving import SuccessiveHalving, ranking
from ir2search.search.pruners.progress import Progress

points = st.lists(
    st.tuples(*[st.integers(0, 6).map(float)] * 2), min_size=1, max_size=12, unique=True
)


def dominates(one: tuple[float, ...], other: tuple[float, ...]) -> bool:
    return one != other and all(a <= b for a, b in zip(one, other, strict=True))


@given(points)
def test_a_point_is_ranked_before_all_that_it_dominates(values: list[tuple[float, ...]]) -> None:
    order = ranking(np.array(values))
    assert sorted(order) == list(range(len(values)))
    for place, row in enumerate(order):
        assert not any(dominates(values[later], values[row]) for later in order[place + 1 :])


@given(points)
def test_equal_ranks_are_ordered_by_their_contribution_to_the_hypervolume(
    values: list[tuple[float, ...]],
) -> None:
    array = np.array(values)
    scaled = array / np.where(array.max(axis=0) > 0, array.max(axis=0), 1)
    first = [row for row, v in enumerate(values) if not any(dominates(o, v) for o in values)]
    order = [row for row in ranking(array) if row in first]
    ref = [1.1, 1.1]

    def loss(row: int) -> float:
        others = [scaled[other] for other in first if other != row]
        rest = moocore.hypervolume(np.array(others), ref=ref) if others else 0.0
        return float(moocore.hypervolume(scaled[first], ref=ref) - rest)

    losses = [loss(row) for row in order]
    assert all(a >= b - 1e-9 for a, b in itertools.pairwise(losses))


@given(st.lists(st.floats(0, 1), min_size=1, max_size=40, unique=True), st.integers(2, 4))
def test_with_one_objective_it_is_asynchronous_halving(values: list[float], factor: int) -> None:
    """The published algorithm promotes one of the best 1 / factor that was not promoted yet."""
    progress, counts = Progress((1, 3, 9)), [dict[int, float](), {}, {}]
    pruner = SuccessiveHalving(progress, factor)
    promoted: list[set[int]] = [set(), set()]
    for number, value in enumerate(values):
        progress.record(number, 0, (value, 1.0))
        counts[0][number] = value
        while True:
            expected = None
            for level in (1, 0):
                best = sorted(counts[level], key=counts[level].__getitem__)
                top = best[: len(best) // factor]
                if new := [n for n in top if n not in promoted[level]]:
                    expected = (new[0], level + 1)
                    break
            assert pruner.next() == expected
            if expected is None:
                break
            candidate, level = expected
            promoted[level - 1].add(candidate)
            counts[level][candidate] = values[candidate]
            progress.record(candidate, level, (values[candidate], 1.0))
    assert progress.waiting() == sorted(counts[0].keys() - counts[2].keys())


def test_a_trial_that_ended_does_not_go_on_and_still_counts() -> None:
    progress = Progress((1, 2))
    pruner = SuccessiveHalving(progress, factor=2)
    for number, value in enumerate([0.1, 0.2, 0.3, 0.4]):
        progress.record(number, 0, (value, 1.0))
    progress.end(0)
    assert pruner.next() == (1, 1)
    assert progress.waiting() == [1, 2, 3]


def test_a_running_trial_is_not_chosen_again() -> None:
    progress = Progress((1, 2))
    for number, value in enumerate([0.1, 0.2, 0.3, 0.4]):
        progress.record(number, 0, (value, 1.0))
    pruner = SuccessiveHalving(progress, factor=2)
    assert pruner.next(running={0}) == (1, 1)
    assert pruner.next(running={0, 1}) is None
