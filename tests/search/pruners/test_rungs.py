from __future__ import annotations

import itertools
import random
from pathlib import Path
from typing import Any

import moocore
import numpy as np
import optuna
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from optuna.distributions import FloatDistribution
from replay import ReplayExecutor, replaying

import ir2search as ir
from ir2search.errors import StudyError
from ir2search.search.pruners.rungs import ENOUGH, Ladder, Observations, ranking
from ir2search.search.samplers.optuna_samplers import make_sampler
from ir2search.study.schema import parse_study
from ir2search.study.sections import Rungs

points = st.lists(
    st.tuples(*[st.integers(0, 6).map(float)] * 2), min_size=1, max_size=12, unique=True
)


def dominates(one: tuple[float, ...], other: tuple[float, ...]) -> bool:
    return one != other and all(a <= b for a, b in zip(one, other, strict=True))


@given(points)
def test_no_one_is_ranked_behind_whom_it_dominates(values: list[tuple[float, ...]]) -> None:
    order = ranking(np.array(values))
    assert sorted(order) == list(range(len(values)))
    for place, row in enumerate(order):
        assert not any(dominates(values[later], values[row]) for later in order[place + 1 :])


@given(points)
def test_equals_are_ranked_by_what_the_hypervolume_loses_without_them(
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


def test_rungs_grow_by_the_factor_up_to_the_whole() -> None:
    assert Rungs(minimum=1, factor=3).levels(20) == (1, 3, 9, 20)
    assert Rungs(minimum=2, factor=2).levels(16) == (2, 4, 8, 16)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=40, unique=True), st.integers(2, 4))
def test_with_one_objective_it_is_asynchronous_halving(values: list[float], factor: int) -> None:
    """Against the algorithm as it is published: the top 1 / factor that were not promoted."""
    ladder, counts = Ladder((1, 3, 9), factor), [dict[int, float](), {}, {}]
    promoted: list[set[int]] = [set(), set()]
    for number, value in enumerate(values):
        ladder.record(number, 0, (value, 1.0))
        counts[0][number] = value
        while True:
            expected = None
            for level in (1, 0):
                best = sorted(counts[level], key=counts[level].__getitem__)
                top = best[: len(best) // factor]
                if new := [n for n in top if n not in promoted[level]]:
                    expected = (new[0], level + 1)
                    break
            assert ladder.next() == expected
            if expected is None:
                break
            candidate, level = expected
            promoted[level - 1].add(candidate)
            counts[level][candidate] = values[candidate]
            ladder.record(candidate, level, (values[candidate], 1.0))
    assert ladder.waiting() == sorted(counts[0].keys() - counts[2].keys())


def test_who_ended_goes_no_further_and_still_counts() -> None:
    ladder = Ladder((1, 2), 2)
    for number, value in enumerate([0.1, 0.2, 0.3, 0.4]):
        ladder.record(number, 0, (value, 1.0))
    ladder.end(0)
    assert ladder.next() == (1, 1)
    assert ladder.waiting() == [1, 2, 3]


def test_a_sampler_learns_from_the_highest_rung_with_enough_results() -> None:
    """A parabola whose minimum is at 0.8 on the upper rung, and at 0.1 on the lower one."""
    space = {"x": FloatDistribution(0, 1)}
    observations, generator = Observations(2, 2), random.Random(0)
    for _ in range(60):
        x = generator.random()
        observations.add(0, {"x": x}, ((x - 0.1) ** 2, 1.0))
    sampler = make_sampler("tpe", 0, 0)
    low = [observations.propose(sampler, space)["x"] for _ in range(20)]
    assert abs(np.median(low) - 0.1) < 0.2
    for _ in range(5 * ENOUGH):
        x = generator.random()
        observations.add(1, {"x": x}, ((x - 0.8) ** 2, 1.0))
    high = [observations.propose(sampler, space)["x"] for _ in range(20)]
    assert abs(np.median(high) - 0.8) < 0.2


def with_rungs(quick: dict[str, Any], **values: Any) -> dict[str, Any]:
    recipe = {**quick["recipe"], "epochs": 4}
    return {**quick, "recipe": recipe, "rungs": {"minimum": 1, "factor": 2}, **values}


def start(values: dict[str, Any], folder: Path, **options: Any) -> None:
    options = {"executor": ReplayExecutor, **options}
    ir.run(parse_study(values, "a.toml"), folder, device="cpu", **options)


def test_the_best_go_on_and_the_others_are_stopped(quick: dict[str, Any], tmp_path: Path) -> None:
    start(with_rungs(quick, trials=6), tmp_path / "run")
    table = ir.trials(tmp_path / "run")
    begun = table[table["state"].isin(["trained", "stopped"])]
    assert len(begun) == 6
    assert (begun.loc[begun["state"] == "trained", "epochs"] == 4).all()
    assert set(begun.loc[begun["state"] == "stopped", "epochs"]) <= {1, 2}
    assert (begun["state"] == "stopped").any()
    assert begun["epochs"].sum() < 0.8 * 6 * 4
    counts = ir.status(tmp_path / "run").counts
    assert counts["unfinished"] == counts["waiting"] == 0
    storage = ir.Run.open(tmp_path / "run").storage
    for trial in storage.trials:
        if trial.number in set(begun["number"]):
            curve = pd.read_json(
                tmp_path / f"run/trials/{trial.number}/curve.jsonl", lines=True, precise_float=True
            )
            for epochs, accuracy in trial.user_attrs["rungs"].items():
                assert curve["validation_accuracy"][: int(epochs)].max() == accuracy
    front = optuna.visualization.plot_pareto_front(storage)
    assert sum(len(trace.x) for trace in front.data) == (begun["state"] == "trained").sum()
    ir.write_report(tmp_path / "run")


def test_who_climbs_is_trained_as_without_rungs(quick: dict[str, Any], tmp_path: Path) -> None:
    recipe = {**quick["recipe"], "epochs": 2}
    rungs = with_rungs(quick, trials=2, recipe=recipe)
    start(rungs, tmp_path / "rungs", executor="local")
    start({**quick, "trials": 2, "recipe": recipe}, tmp_path / "whole", executor="local")
    columns = ["candidate_id", "accuracy", "best_epoch"]
    climbed, trained = (
        table[table["state"] == "trained"][columns].set_index("candidate_id")
        for table in map(ir.trials, (tmp_path / "rungs", tmp_path / "whole"))
    )
    both = climbed.index.intersection(trained.index)
    assert len(both)
    pd.testing.assert_frame_equal(climbed.loc[both], trained.loc[both])


class Interrupt(ir.RunObserver):
    """Ctrl-C at the n-th thing that happens."""

    def __init__(self, after: int) -> None:
        self.left = after

    def on_epoch(self, *arguments: object) -> None:
        self.left -= 1
        if self.left == 0:
            raise KeyboardInterrupt

    on_wait = on_trial = on_epoch


@pytest.mark.parametrize(
    ("sampler", "moments"), [("tpe", (2, 5, 5)), ("nsga2", (7,)), ("grid", (12,)), ("ehvi", (9,))]
)
def test_an_interrupted_study_with_rungs_ends_as_one_that_was_not(
    quick: dict[str, Any], tmp_path: Path, sampler: str, moments: tuple[int, ...]
) -> None:
    """Interrupted once or again and again, each time after so many calls more."""
    values = with_rungs(quick, trials=6, sampler=sampler)
    start(values, tmp_path / "through")
    for moment in moments:
        with pytest.raises(KeyboardInterrupt):
            start(values, tmp_path / "cut", observer=Interrupt(moment))
    start(values, tmp_path / "cut")
    through, cut = (
        ir.trials(folder).drop(columns="seconds")
        for folder in (tmp_path / "through", tmp_path / "cut")
    )
    pd.testing.assert_frame_equal(through, cut)


def test_a_candidate_that_cannot_better_a_perfect_one_is_not_trained(
    quick: dict[str, Any], tmp_path: Path
) -> None:
    trained: list[float] = []

    def perfect(candidate: ir.Candidate, seed: int, epochs: int) -> list[float]:
        trained.append(ir.cost(candidate).ops)
        return [1.0] * epochs

    values = {**quick, "trials": 30, "sampler": "grid"}
    start(values, tmp_path / "run", executor=replaying(curve=perfect))
    assert all(later < earlier for earlier, later in itertools.pairwise(trained))
    table = ir.trials(tmp_path / "run")
    refused = table[table["state"] == "turned down"]
    assert refused["outcome"].str.startswith("even without any error it would not better").any()


@pytest.mark.parametrize(
    ("rungs", "message"),
    [
        ({"minimum": 0}, r"\[rungs\] minimum: must be at least 1, but got 0"),
        ({"factor": 1}, r"\[rungs\] factor: must be at least 2, but got 1"),
        ({"minimum": 4}, r"\[rungs\] minimum: must be below the recipe's 4 epochs, but got 4"),
        ({"minimun": 4}, r"\[rungs\] minimun: there is no such key; did you mean 'minimum'\?"),
    ],
)
def test_wrong_rungs_are_named(quick: dict[str, Any], rungs: dict[str, int], message: str) -> None:
    with pytest.raises(StudyError, match=message):
        parse_study(with_rungs(quick, rungs=rungs), "a.toml")
