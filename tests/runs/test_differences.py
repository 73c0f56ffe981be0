from __future__ import annotations

import math
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom, chi2_contingency, ttest_ind

import ir2search as ir
from ir2search.errors import RunError
from ir2search.runs.differences import (
    Measured,
    advice,
    described_front,
    may_be_equal,
    mcnemar,
    over_seeds,
    seed_spread,
    two_proportions,
)
from ir2search.runs.hits import read_hits, write_hits
from ir2search.study.loading import parse_study
from ir2search.study.sections import Confirm

ALONE = seed_spread([])  # no network was trained from several seeds
STUDY = parse_study({"space": {"depth": 8}}, "a.toml")
CONFIRMED = STUDY.model_copy(update={"confirm": Confirm(seeds=3)})


def front_of(*members: tuple[float, float], seeds: list[list[float]] | None = None) -> pd.DataFrame:
    """A front of (accuracy, operations), best first."""
    return pd.DataFrame(
        {
            "number": range(len(members)),
            "accuracy": [accuracy for accuracy, _ in members],
            "ops": [ops for _, ops in members],
            "test_accuracy": [accuracy - 0.01 for accuracy, _ in members],
            "test_images": pd.array([360] * len(members), dtype="Int64"),
            "seed_accuracies": seeds or [[accuracy] for accuracy, _ in members],
        }
    )


def described(
    front: pd.DataFrame, folder: Path, study: ir.Study = STUDY, images: int | None = 287
) -> pd.DataFrame:
    return described_front(front, study, images, lambda number: folder / str(number))


@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=40))
def test_mcnemars_p_value_is_the_probability_of_a_split_as_uneven(
    pairs: list[tuple[bool, bool]],
) -> None:
    one, other = (np.array(column) for column in zip(*pairs, strict=True))
    only = int((one & ~other).sum()), int((other & ~one).sum())
    tosses = sum(only)
    wanted = sum(
        binom.pmf(heads, tosses, 0.5)
        for heads in range(tosses + 1)
        if abs(heads - tosses / 2) >= abs(only[0] - tosses / 2)
    )
    assert mcnemar(one, other) == pytest.approx(wanted)
    assert mcnemar(one, other) == pytest.approx(mcnemar(other, one))


@given(st.integers(2, 400), st.data())
def test_the_z_test_is_the_chi_square_test_of_the_table(count: int, data: st.DataObject) -> None:
    one, other = (data.draw(st.integers(0, count)) for _ in range(2))
    if one + other in (0, 2 * count):
        assert two_proportions(one / count, other / count, count) == 1
        return
    table = [[one, count - one], [other, count - other]]
    wanted = chi2_contingency(table, correction=False).pvalue
    assert two_proportions(one / count, other / count, count) == pytest.approx(wanted, abs=1e-12)


def test_equal_networks_differ_no_more_often_than_the_significance_level() -> None:
    generator = np.random.default_rng(0)
    found = [
        may_be_equal(*(Measured(each.mean(), [each.mean()], 287, each) for each in pair), ALONE)
        for pair in generator.random((500, 2, 287)) < 0.95
    ]
    assert np.mean(found) >= 0.94


def test_paired_images_show_differences_that_shares_alone_do_not() -> None:
    better = np.ones(287, dtype=bool)
    worse = better.copy()
    worse[:8] = False
    pair = [
        Measured(float(hits.mean()), [float(hits.mean())], 287, hits) for hits in (better, worse)
    ]
    assert not may_be_equal(*pair, ALONE)
    close = [0.95, 0.92]
    assert may_be_equal(*(Measured(share, [share], 287) for share in close), ALONE)
    assert not may_be_equal(*(Measured(share, [share], 10_000) for share in close), ALONE)
    assert not may_be_equal(*(Measured(share, [share], None) for share in close), ALONE)


seeds = st.lists(st.integers(0, 287).map(lambda right: right / 287), min_size=2, max_size=5)


@given(seeds, seeds)
def test_the_test_over_seeds_of_two_networks_is_students_t_test(
    one: list[float], other: list[float]
) -> None:
    spread = seed_spread([one, other, [0.5]])
    assert spread.degrees == len(one) + len(other) - 2
    shares = [np.arcsin(np.sqrt(each)) for each in (one, other)]
    if spread.deviation < 1e-9:
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # of scipy, where one list has no spread
        wanted = ttest_ind(*shares, equal_var=True).pvalue
    assert over_seeds(one, other, spread) == pytest.approx(wanted, abs=1e-9)


def test_without_any_spread_only_equal_means_are_equal() -> None:
    spread = seed_spread([[0.5, 0.5], [0.6, 0.6]])
    assert over_seeds([0.5, 0.5], [0.5, 0.5], spread) == 1
    assert over_seeds([0.5, 0.5], [0.6, 0.6], spread) == 0


def test_other_members_tell_how_much_seeds_differ() -> None:
    """Two networks of two seeds each are told apart by the spread of the whole front."""
    pair = [Measured(0.95, [0.95, 0.945], 287), Measured(0.91, [0.91, 0.92], 287)]
    steady = [[0.9, 0.905, 0.9], [0.8, 0.805, 0.8]]
    noisy = [[0.9, 0.95, 0.85], [0.8, 0.9, 0.7]]
    for others, equal in ((steady, False), (noisy, True)):
        spread = seed_spread([*(each.seeds for each in pair), *others])
        assert may_be_equal(pair[0], pair[1], spread) == equal


def test_the_cheapest_of_equal_members_is_recommended_in_a_sentence(tmp_path: Path) -> None:
    front = described(front_of((0.979, 173e3), (0.976, 58e3), (0.833, 15e3)), tmp_path)
    assert front["group"].tolist() == [0, 0, 1]
    assert front["alike"].tolist() == [[1], [0], []]
    assert front["recommended"].tolist() == [False, True, True]
    first, hint = advice(front, STUDY)
    assert first == (
        "Trials 0 and 1 cannot be told apart (97.9% and 97.6% of 287 validation images). "
        "Take 1: it has a third of the OPs of 0."
    )
    assert "[confirm]" in hint
    assert "9 trainings" in hint


def test_there_is_no_advice_where_all_members_differ(tmp_path: Path) -> None:
    front = described(front_of((0.979, 173e3), (0.833, 15e3)), tmp_path, images=10_000)
    assert advice(front, STUDY) == []
    assert front["recommended"].all()


def test_seeds_may_show_that_the_cheaper_member_is_better(tmp_path: Path) -> None:
    near, steady = [0.98, 0.96, 0.97, 0.96], [0.97, 0.97, 0.96, 0.97]
    front = described(front_of((0.98, 2e5), (0.97, 1e5), seeds=[near, steady]), tmp_path, CONFIRMED)
    (sentence,) = advice(front, CONFIRMED)
    assert sentence.endswith("Take 1: it is the most accurate and the cheapest.")
    worse = front_of((0.98, 2e5), (0.97, 1e5), seeds=[[0.98, 0.90, 0.90, 0.91], steady])
    found = described(worse, tmp_path, CONFIRMED)
    assert found["group"].tolist() == [1, 0]
    assert found["recommended"].tolist() == [False, True]


def test_intervals_hold_their_accuracy_and_are_empty_where_nothing_is_known(
    tmp_path: Path,
) -> None:
    front = described(front_of((0.979, 1e5), (0.8, 1e4)), tmp_path)
    for name in ("accuracy", "test_accuracy"):
        assert (front[f"{name}_low"] < front[name]).all()
        assert (front[name] < front[f"{name}_high"]).all()
    assert described(front, tmp_path, images=None)["accuracy_low"].isna().all()


def test_a_large_group_is_named_in_short(tmp_path: Path) -> None:
    members = [(0.95 - 0.0001 * at, 1e5 / (1 + at)) for at in range(12)]
    sentence, _ = advice(described(front_of(*members), tmp_path), STUDY)
    assert sentence.startswith("Trials 0, 1, 2, 3, 4, 5 and 6 more cannot be told apart (95.0% to ")


def test_three_groups_have_a_sentence_and_further_ones_are_counted(tmp_path: Path) -> None:
    members = [(0.9 - 0.1 * (at // 2) - 0.001 * (at % 2), 1e6 / (1 + at)) for at in range(10)]
    *sentences, more, _ = advice(described(front_of(*members), tmp_path, images=1000), STUDY)
    assert [each.split(" cannot")[0] for each in sentences] == [
        "Trials 0 and 1", "Trials 2 and 3", "Trials 4 and 5",
    ]  # fmt: skip
    assert more == "For 2 more groups see the column `alike` of the front."


def test_hits_are_read_as_they_were_written(tmp_path: Path) -> None:
    hits = np.array([True, False, True])
    write_hits(tmp_path, {"validation": hits, "test": ~hits})
    np.testing.assert_array_equal(read_hits(tmp_path), hits)
    assert read_hits(tmp_path / "none") is None
    (tmp_path / "hits.json").write_text('{"validation": "012"}')
    with pytest.raises(RunError, match=r"hits\.json: validation"):
        read_hits(tmp_path)


def test_a_finished_run_says_how_many_images_and_which_members_are_alike(
    finished_run: Path,
) -> None:
    front, status = ir.front(finished_run, constant=True), ir.status(finished_run)
    assert set(front["validation_images"]) == {287}
    assert set(front["test_images"]) == {360}
    assert front["accuracy_low"].notna().all()
    shown = status.as_dict()
    assert shown["advice"] == list(status.advice)
    assert math.isclose(shown["front"][0]["accuracy_low"], front["accuracy_low"][0])
