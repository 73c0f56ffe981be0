from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from replay import ReplayExecutor

import ir2search as ir
from ir2search.files import read_json
from ir2search.study.loading import parse_study


class Confirmed(ir.RunObserver):
    def __init__(self, stop_after: int = 0) -> None:
        self.found: list[tuple[int, int]] = []
        self.stop_after = stop_after

    def on_confirm(self, number: int, seed: int, accuracy: float, test_accuracy: float) -> None:
        self.found.append((number, seed))
        if len(self.found) == self.stop_after:
            raise KeyboardInterrupt


def start(values: dict[str, Any], folder: Path, observer: ir.RunObserver) -> None:
    study = parse_study(values, "a.toml")
    ir.run(study, folder, device="cpu", executor=ReplayExecutor, observer=observer)


@pytest.fixture
def values(quick: dict[str, Any]) -> dict[str, Any]:
    return {**quick, "trials": 3, "confirm": {"seeds": 2}}


@pytest.mark.usefixtures("figures_once")
def test_only_the_front_is_trained_from_further_seeds(
    values: dict[str, Any], tmp_path: Path
) -> None:
    told = Confirmed()
    start(values, tmp_path / "run", told)
    front, table = ir.front(tmp_path / "run"), ir.trials(tmp_path / "run")
    assert sorted(told.found) == sorted((n, seed) for n in front["number"] for seed in (1, 2))
    for row in front.itertuples():
        assert len(row.seed_accuracies) == len(row.seed_test_accuracies) == 3
        assert row.seed_accuracies[0] == row.accuracy
        assert row.seed_test_accuracies[0] == row.test_accuracy
        curves = tmp_path.glob(f"run/trials/{row.number}/seeds/*/curve.jsonl")
        first = {curve.read_text().split('"loss"')[1][:20] for curve in curves}
        assert len(first) == 2, "each seed gives another training"
    others = table[~table["number"].isin(front["number"]) & (table["state"] == "trained")]
    assert all(len(accuracies) == 1 for accuracies in others["seed_accuracies"])
    page = ir.write_report(tmp_path / "run").read_text()
    assert re.search(r"± \d+\.\d% over seeds</span>", page)


def test_all_networks_can_be_tested_and_trained_from_further_seeds(
    values: dict[str, Any], tmp_path: Path
) -> None:
    told = Confirmed()
    start({**values, "confirm": {"seeds": 1, "trials": "all"}}, tmp_path / "run", told)
    table = ir.trials(tmp_path / "run")
    trained = table[table["state"] == "trained"]
    assert len(trained) > len(ir.front(tmp_path / "run"))
    assert sorted(told.found) == [(number, 1) for number in sorted(trained["number"])]
    assert all(len(each) == 2 for each in trained["seed_test_accuracies"])


def test_seeds_can_be_added_later_and_none_is_trained_twice(
    values: dict[str, Any], tmp_path: Path
) -> None:
    with pytest.raises(KeyboardInterrupt):
        start(values, tmp_path / "run", Confirmed(1))
    told = Confirmed()
    start({**values, "confirm": {"seeds": 3}}, tmp_path / "run", told)
    front = ir.front(tmp_path / "run")
    assert len(told.found) == 3 * len(front) - 1
    assert all(len(accuracies) == 4 for accuracies in front["seed_accuracies"])


def test_the_hits_of_the_front_are_kept_and_give_its_test_accuracy(finished_run: Path) -> None:
    front = ir.front(finished_run, constant=True)
    for row in front.itertuples():
        hits = read_json(finished_run / f"trials/{row.number}/hits.json")
        assert hits["test"].count("1") / row.test_images == row.test_accuracy
        assert len(hits["test"]) == row.test_images
        assert len(hits["validation"]) == row.validation_images
        assert hits["validation"].count("1") / row.validation_images == row.accuracy
