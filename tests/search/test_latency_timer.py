"""Latency as an objective, in studies on the digits with replayed trainings."""

from __future__ import annotations

import importlib
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import optuna
import pandas as pd
import pytest
from replay import ReplayExecutor
from torch import nn

import ir2search as ir
from ir2search.errors import RunError, SpaceError, StudyError
from ir2search.files import read_json
from ir2search.latency import on_grid, time_on_runtime
from ir2search.runs.storages import MACHINE
from ir2search.runtime import Machine, Timing, this_machine
from ir2search.search.latency_timer import LatencyTimer, check_machine
from ir2search.study.loading import parse_study

MODULE = importlib.import_module("ir2search.latency.timing")
COLUMNS = ["latency_low_ms", "latency_median_ms", "latency_high_ms"]


@pytest.fixture
def timed(quick: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    monkeypatch.setattr(MODULE, "SECONDS", 0.05)
    quick |= {"objectives": ["accuracy", "latency"], "trials": 4}
    quick["recipe"]["epochs"] = 1
    quick["space"] |= {"threshold": {"low": 0.0, "high": 1.0}, "width": [0.125, 0.25, 0.5]}
    return quick


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The networks that were timed. The clock is replaced: a network takes 1 us for each weight."""
    seen: list[Any] = []

    def measured(graph: Any, setting: Any) -> tuple[Timing, float, int]:
        seen.append(graph)
        weights = sum(tensor.size for node in graph.nodes for tensor in node.tensors.values())
        return Timing(1e-6 * weights, 0.99e-6 * weights, 1.01e-6 * weights, 100), 1e-4, 1

    monkeypatch.setattr(MODULE, "_time", measured)
    monkeypatch.setattr(MODULE, "_first_seconds", lambda setting, cache: 1e-4)
    return seen


def start(values: dict[str, Any], folder: Path, **given: Any) -> pd.DataFrame:
    ir.run(parse_study(values, "a.toml"), folder, executor=ReplayExecutor, **given)
    return ir.trials(folder)


@pytest.mark.usefixtures("figures_once")
def test_the_time_on_the_runtime_is_a_cost(timed: dict[str, Any], tmp_path: Path) -> None:
    folder = tmp_path / "runs" / "quick"
    table = start({**timed, "sampler": "random"}, folder)
    trained = table[table["state"] == "trained"]
    assert len(trained) == 4
    for row in trained.to_dict("records"):
        low, median, high = (row[name] for name in COLUMNS)
        assert 0 < low <= median <= high
        found = read_json(folder / "trials" / str(row["number"]) / "latency.json")
        assert found["setting"] == {"threads": 1, "batch": 1}
        assert found["timing"]["median"] / found["pace"] == pytest.approx(median / 1000)
        timing = Timing(median / 1000, low / 1000, high / 1000, 1)
        assert row["latency_ms"] == pytest.approx(1000 * on_grid(timing))
    front = ir.front(folder)
    assert front["latency_ms"].is_unique
    ir.write_report(folder)
    kept = pd.read_parquet(folder / "report" / "trials.parquet")
    assert kept[["latency_ms", *COLUMNS]].notna().any().all()
    assert "| latency |" in (folder / "report" / "report.md").read_text()
    page = (folder / "report" / "index.html").read_text()
    assert "latency (quartiles)" in page
    assert '"label":"latency (ms)"' in page
    with_itself = ir.compare(folder, folder)
    assert (with_itself.coverages == 1).all()


def test_runs_share_the_time_of_an_architecture(
    timed: dict[str, Any], tmp_path: Path, clock: list[Any]
) -> None:
    timed["space"] = {"depth": 8, "width": [0.125, 0.25], "threshold": {"low": 0.0, "high": 1.0}}
    table = start({**timed, "trials": 5, "sampler": "random"}, tmp_path / "runs" / "one")
    assert table["candidate_id"].nunique() == 5
    assert len(clock) == table["latency_ms"].nunique() == 2
    other = {**timed, "seed": 1, "recipe": {**timed["recipe"], "epochs": 2}}
    start(other, tmp_path / "runs" / "two")
    assert len(clock) == 2
    start({**other, "latency": {"batch": 2}}, tmp_path / "runs" / "three")
    assert len(clock) == 4


def test_a_trial_is_timed_only_once(
    timed: dict[str, Any], tmp_path: Path, clock: list[Any]
) -> None:
    """Even without the cache: the time is kept in the trial's folder."""
    recipe = {**timed["recipe"], "epochs": 2}
    values = {**timed, "recipe": recipe, "sampler": "random", "rungs": {"minimum": 1, "factor": 2}}
    folder = tmp_path / "runs" / "quick"
    before = start({**values, "trials": 2}, folder).drop(columns="seconds")
    shutil.rmtree(tmp_path / "runs" / ".cache" / "latency")
    measured = len(clock)
    start({**values, "trials": 2}, folder)
    assert len(clock) == measured + 1, "the cheapest, to see that it can be done"
    after = start({**values, "trials": 4}, folder).drop(columns="seconds")
    pd.testing.assert_frame_equal(after.iloc[: len(before)], before)
    timer = LatencyTimer(parse_study(values, "a.toml"), tmp_path / "elsewhere")
    own = folder / "trials" / "0"
    found = timer.trial_costs(ir.Candidate(), own)
    assert found["latency_median_ms"] == before["latency_median_ms"].iloc[0]
    assert not (tmp_path / "elsewhere").exists()


@pytest.mark.parametrize("sampler", ["ehvi", "tpe", "nsga2", "grid"])
def test_every_kind_of_sampler_uses_the_latency(
    timed: dict[str, Any], tmp_path: Path, clock: list[Any], sampler: str
) -> None:
    timed["space"] |= {"threshold": [0.0, 0.5], "depth": [8, 14]}
    values = {**timed, "sampler": sampler, "trials": 4}
    one = start(values, tmp_path / "one" / "quick").drop(columns="seconds")
    trained = one[one["state"] == "trained"]
    assert len(trained) == 4
    first = 3  # proposals of ehvi before its model
    pools = max(0, len(one) - first) if sampler == "ehvi" else 0
    assert len(clock) <= 1 + len(one) + 8 * pools, "eight of a pool are timed, not all"
    storage = ir.Run.open(tmp_path / "one" / "quick").storage
    latencies = [storage.trials[number].values[1] for number in trained["number"]]
    assert latencies == list(trained["latency_ms"])
    other = start(values, tmp_path / "other" / "quick").drop(columns="seconds")
    pd.testing.assert_frame_equal(one, other)


@pytest.mark.parametrize("sampler", ["random", "ehvi"])
def test_networks_over_the_latency_budget_are_not_trained(
    timed: dict[str, Any], tmp_path: Path, clock: list[Any], sampler: str
) -> None:
    values = {**timed, "objectives": ["accuracy", "ops"], "budget": {"latency": 3.0}, "trials": 6}
    table = start({**values, "sampler": sampler}, tmp_path / "runs" / "quick")
    trained = table[table["state"] == "trained"]
    assert len(trained) == 6
    assert (trained["latency_median_ms"] <= 3.0).all()
    refused = table[table["outcome"].str.startswith("over budget")]["outcome"]
    assert refused.str.match(r"over budget: latency [\d.]+ > 3$").all()
    assert len(refused) or sampler == "ehvi"


def test_a_search_ends_in_a_large_space_with_little_within_the_budget(
    timed: dict[str, Any], tmp_path: Path, clock: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each threshold is a new candidate, but only one architecture is within the budget."""
    monkeypatch.setattr("ir2search.search.samplers.base.DRAWS", 20)
    timed["space"] = {"depth": 8, "width": [0.125, 0.5], "threshold": [0.0, 0.5]}
    table = start({**timed, "budget": {"latency": 3.0}}, tmp_path / "runs" / "quick")
    assert (table["state"] == "trained").sum() == 2
    assert table["outcome"].str.startswith("over budget").any()


def test_a_budget_that_no_network_meets_is_refused(
    timed: dict[str, Any], tmp_path: Path, clock: list[Any]
) -> None:
    values = {**timed, "budget": {"latency": 0.001}}
    with pytest.raises(SpaceError, match=r"a.toml: \[budget\] latency: of the 3 networks with the"):
        start(values, tmp_path / "runs" / "quick")
    assert len(clock) <= 3
    assert not (tmp_path / "runs" / "quick").exists()


def test_a_network_that_the_runtime_cannot_run_is_refused_at_the_start(
    timed: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    build = ir.build

    def with_gelu(candidate: ir.Candidate) -> ir.TappedNetwork:
        network = build(candidate)
        network.head.append(nn.GELU())
        return network

    describing = importlib.import_module("ir2search.export.describe")  # the name is a function's
    monkeypatch.setattr(describing, "build", with_gelu)
    with pytest.raises(StudyError, match=r"latency: head\.\w+: a GELU cannot be exported"):
        start(timed, tmp_path / "runs" / "quick")


def test_the_machine_of_an_older_run_can_be_read() -> None:
    here = this_machine()
    storage = optuna.create_study()
    storage.set_user_attr(MACHINE, {"cpu": here.cpu, "engine": here.runtime})
    check_machine(storage, Path("runs/quick"))
    assert storage.user_attrs[MACHINE] == asdict(here)
    storage.set_user_attr(MACHINE, {"cpu": here.cpu, "engine": "older"})
    with pytest.raises(RunError, match="another version of the runtime, older, and this is"):
        check_machine(storage, Path("runs/quick"))


def test_another_machine_does_not_continue_a_run(
    timed: dict[str, Any], tmp_path: Path, clock: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "runs" / "quick"
    start({**timed, "trials": 1}, folder)
    for machine, what in ((Machine("Z80", "x"), "processor, "), (None, "version of the runtime, ")):
        other = machine or replace(this_machine(), runtime="newer")
        with monkeypatch.context() as patch:
            patch.setattr("ir2search.search.latency_timer.this_machine", lambda other=other: other)
            with pytest.raises(RunError, match=f"measured on another {what}"):
                start({**timed, "trials": 2}, folder)


def test_trainings_are_paused_while_a_network_is_timed(
    timed: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    is_paused, seen = False, []

    @contextmanager
    def paused() -> Iterator[None]:
        nonlocal is_paused
        is_paused = True
        yield
        is_paused = False

    timing = MODULE._time

    def watched(graph: Any, setting: Any) -> Any:
        seen.append(is_paused)
        return timing(graph, setting)

    monkeypatch.setattr(MODULE, "_time", watched)
    timer = LatencyTimer(parse_study(timed, "a.toml"), tmp_path, paused)
    assert timer.costs(ir.Candidate(depth=8, width=0.125, image=(1, 8, 8)))
    assert seen == [True]


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"latency": {"threads": 0}}, "[latency] threads: must be at least 1"),
        ({"latency": {"batch": 1.5}}, "[latency] batch: must be a whole number"),
        ({"latency": {"thread": 1}}, "[latency] thread: there is no such key; did you mean 'thr"),
        ({"latency": 3}, "latency: must be a table"),
        ({"budget": {"latency": 0}}, "[budget] latency: must be above 0"),
        ({"budget": {"latncy": 1}}, "did you mean 'latency'?"),
        (
            {"objectives": ["accuracy", "ops"], "latency": {"threads": 2}},
            "[latency] needs latency among the objectives or in [budget]",
        ),
    ],
)
def test_wrong_values_are_one_sentence(
    timed: dict[str, Any], change: dict[str, Any], complaint: str
) -> None:
    with pytest.raises(StudyError) as caught:
        parse_study({**timed, **change}, "a.toml")
    assert complaint in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_larger_network_takes_longer_on_the_runtime(tmp_path: Path) -> None:
    from ir2search.export import candidate_graph

    small, large = (
        time_on_runtime(candidate_graph(ir.Candidate(depth=depth, width=width, image=(3, 16, 16))))
        for depth, width in ((8, 0.25), (20, 2.0))
    )
    assert large.timing.low > 2 * small.timing.high
