from __future__ import annotations

import importlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import ir2search as ir
from ir2search.errors import InputError
from ir2search.search.epochs import expected_epochs
from ir2search.study.loading import parse_study

Values = dict[str, Any]


def test_a_small_space_is_counted_whole(quick: Values, tmp_path: Path) -> None:
    study = parse_study(quick, "a.toml")
    space = study.space.with_data((1, 8, 8), 10)
    every = {each.id: each for each in map(space.candidate, space.grid())}
    ops = {name: ir.cost(each).ops for name, each in every.items()}
    limit = sorted(ops.values())[len(ops) // 2]
    study = parse_study(quick | {"budget": {"ops": limit}}, "a.toml")
    found = ir.estimate(study, tmp_path / "runs" / "quick", device="cpu")
    within = [value for value in ops.values() if value <= limit]
    assert (found.combinations, found.is_exact) == (space.size, True)
    assert found.networks == len(within)
    points = [space.candidate(point) for point in space.grid()]
    assert found.within == sum(ops[each.id] <= limit for each in points) / len(points)
    (counted,) = [each for each in found.costs if each.name == "ops"]
    assert (counted.least, counted.most) == (min(within), max(within))
    assert (found.epochs, found.expected_epochs, found.confirmed_epochs) == (10, 10, 0)
    assert 0 < found.step_seconds < found.epoch_seconds
    assert found.seconds == pytest.approx(10 * found.epoch_seconds)
    assert not (tmp_path / "runs" / "quick").exists(), "nothing is begun"


def test_a_sample_of_a_large_space_is_counted(quick: Values, tmp_path: Path) -> None:
    space = quick["space"] | {"threshold": {"low": 0.0, "high": 1.0}}
    study = parse_study(quick | {"space": space, "confirm": {"seeds": 2}}, "a.toml")
    found = ir.estimate(study, tmp_path / "quick", device="cpu", workers=2)
    assert not found.is_exact
    assert found.interval[0] < found.within <= found.interval[1]
    assert found.as_dict()["combinations"] is None
    assert (found.workers, found.confirmed_epochs) == (2, 4)


def test_the_training_of_a_front_after_a_supernet_is_estimated(
    quick: Values, tmp_path: Path
) -> None:
    supernet = {"epochs": 7, "members": "fine-tuned", "finetune": 3}
    study = parse_study(quick | {"supernet": supernet}, "a.toml")
    found = ir.estimate(study, tmp_path / "quick", device="cpu")
    assert (found.epochs, found.confirmed_epochs) == (7, 3)


def test_the_time_with_shared_weights_has_the_measurement_of_each_candidate(
    ir2search: Callable[..., Any],
    write_study: Callable[[Values], Path],
    quick: Values,
    tmp_path: Path,
) -> None:
    values = quick | {"supernet": {"epochs": 1}, "trials": 1000}
    found = ir.estimate(parse_study(values, "a.toml"), tmp_path / "quick", device="cpu")
    assert found.measurement_seconds is not None
    assert found.seconds > 1000 * found.measurement_seconds > 0
    own = ir.estimate(parse_study(quick, "a.toml"), tmp_path / "quick", device="cpu")
    assert own.measurement_seconds is None
    shown = ir2search("run", write_study(values), "--dry-run", "--device", "cpu")
    assert "1 of the shared weights" in shown.stdout
    assert "1,000 candidates measured with them" in shown.stdout


def test_rungs_and_limits_lower_the_expected_epochs(quick: Values) -> None:
    def expected(**more: Any) -> int:
        recipe = quick["recipe"] | {"epochs": 9}
        return expected_epochs(
            parse_study(quick | {"trials": 9, "recipe": recipe} | more, "a.toml")
        )

    assert expected() == 81
    assert expected(rungs={"minimum": 1, "factor": 3}) == 9 * 1 + 3 * 2 + 1 * 6
    assert expected(stop={"epochs": 20}) == 20
    assert expected(warm_start={"epochs": 3}) == 108


def test_a_wrong_study_is_refused_as_by_a_run(quick: Values, tmp_path: Path) -> None:
    study = parse_study(quick | {"budget": {"ops": 1}}, "a.toml")
    with pytest.raises(InputError, match="no candidate of the space is within the budget"):
        ir.estimate(study, tmp_path / "quick")


def test_the_command_shows_an_estimate_and_trains_nothing(
    ir2search: Callable[..., Any],
    write_study: Callable[[Values], Path],
    quick: Values,
    tmp_path: Path,
) -> None:
    file = write_study(quick | {"confirm": {"seeds": 1}})
    shown = ir2search("run", file, "--dry-run", "--device", "cpu")
    assert shown.returncode == 0, shown.stderr
    for words in (
        "32 combinations",
        "different networks",
        "OPs to",
        "10 of 5 candidates",
        "2 epochs",
    ):
        assert words in shown.stdout
    found = json.loads(ir2search("run", file, "--dry-run", "--json", "--device", "cpu").stdout)
    assert (found["trials"], found["epochs"]) == (5, 10)
    assert not (tmp_path / "runs" / "quick").exists()


def test_fewer_combinations_are_counted_where_ram_is(
    quick: Values, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = importlib.import_module("ir2search.search.estimate")  # the package has its function
    monkeypatch.setattr(module, "DEVICE_DRAWS", 2)
    study = parse_study(quick | {"budget": {"ram": "64k"}}, "a.toml")
    found = ir.estimate(study, tmp_path / "quick", device="cpu")
    assert (found.counted, found.is_exact) == (2, False)
