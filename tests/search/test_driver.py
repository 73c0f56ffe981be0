from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import optuna
import pandas as pd
import pytest
from replay import ReplayExecutor, replaying

import ir2search as ir
from ir2search.search.executors import Executor, ExecutorFactory, ExecutorSettings, JobResult
from ir2search.study.loading import parse_study


def with_rungs(quick: dict[str, Any], **values: Any) -> dict[str, Any]:
    recipe = {**quick["recipe"], "epochs": 4}
    return {**quick, "recipe": recipe, "rungs": {"minimum": 1, "factor": 2}, **values}


def start(
    values: dict[str, Any],
    folder: Path,
    observer: ir.RunObserver | None = None,
    executor: ExecutorFactory = ReplayExecutor,
) -> None:
    study = parse_study(values, "a.toml")
    ir.run(study, folder, device="cpu", observer=observer, executor=executor)


@pytest.mark.usefixtures("figures_once")
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


def test_a_trial_that_goes_on_is_trained_as_without_rungs(
    quick: dict[str, Any], tmp_path: Path
) -> None:
    """With real trainings, which go on from a checkpoint."""
    for name, values in (("rungs", with_rungs(quick)), ("whole", with_rungs(quick, rungs=None))):
        values = {key: value for key, value in values.items() if value is not None} | {"trials": 4}
        ir.run(parse_study(values, "a.toml"), tmp_path / name, device="cpu")
    columns = ["candidate_id", "accuracy", "best_epoch"]
    climbed, trained = (
        table[table["state"] == "trained"][columns].set_index("candidate_id")
        for table in map(ir.trials, (tmp_path / "rungs", tmp_path / "whole"))
    )
    both = climbed.index.intersection(trained.index)
    assert len(both)
    pd.testing.assert_frame_equal(climbed.loc[both], trained.loc[both])


class Interrupt(ir.RunObserver):
    """Sends Ctrl-C at the n-th event."""

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
def test_an_interrupted_study_with_rungs_finds_the_same(
    quick: dict[str, Any], tmp_path: Path, sampler: str, moments: tuple[int, ...]
) -> None:
    """It is interrupted once or several times, each time after the given number of events."""
    values = with_rungs(quick, trials=6, sampler=sampler)
    start(values, tmp_path / "through")
    for moment in moments:
        with pytest.raises(KeyboardInterrupt):
            start(values, tmp_path / "cut", Interrupt(moment))
    start(values, tmp_path / "cut")
    through, cut = (
        ir.trials(folder).drop(columns="seconds")
        for folder in (tmp_path / "through", tmp_path / "cut")
    )
    pd.testing.assert_frame_equal(through, cut)


def test_a_candidate_that_is_dominated_at_full_accuracy_is_not_trained(
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
    assert refused["outcome"].str.fullmatch(r"dominated by trial \d+ even at 100% accuracy").any()


def test_a_search_whose_rungs_promote_no_trial_to_the_end_trains_the_best_one(
    quick: dict[str, Any], tmp_path: Path
) -> None:
    values = with_rungs(quick, trials=8, rungs={"minimum": 1, "factor": 3})
    values["recipe"] = {**values["recipe"], "epochs": 6}
    start(values, tmp_path / "run")
    table = ir.trials(tmp_path / "run").query("state in ['trained', 'stopped']")
    assert set(table["epochs"]) == {1, 3, 6}
    assert (table["epochs"] == 3).sum() < 3, "the rung at 3 epochs promotes none"
    assert list(ir.front(tmp_path / "run")["epochs"]) == [6]


class Cut(ReplayExecutor):
    """Is interrupted while the first trial is trained to a further rung."""

    number: int | None = None

    def wait(self) -> list[JobResult]:
        if self._jobs[0].until == 2:
            self.number = self._jobs[0].number
            raise KeyboardInterrupt
        return super().wait()


def test_a_trial_that_was_cut_on_its_way_to_a_rung_goes_on_first(
    quick: dict[str, Any], tmp_path: Path
) -> None:
    """New results at its rung do not take its place."""
    executors: list[Cut] = []

    def cut(settings: ExecutorSettings) -> Executor:
        executors.append(Cut(settings))
        return executors[-1]

    with pytest.raises(KeyboardInterrupt):
        start(with_rungs(quick, trials=6), tmp_path / "run", executor=cut)
    trained: list[int] = []

    class Order(ir.RunObserver):
        def on_trial(self, number: int, *_: object) -> None:
            trained.append(number)

    start(with_rungs(quick, trials=6), tmp_path / "run", Order())
    assert trained[0] == executors[0].number
