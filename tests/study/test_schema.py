from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ir2search.errors import StudyError
from ir2search.study import load_study, shipped_studies
from ir2search.study.loading import parse_study

REPOSITORY = Path(__file__).parents[2]


@pytest.mark.parametrize("name", sorted(path.stem for path in REPOSITORY.glob("studies/*.toml")))
def test_every_shipped_study_is_valid_and_names_networks(name: str) -> None:
    study = load_study(name)
    assert study.name == name
    space = study.space.with_data((3, 32, 32), 10)
    assert next(space.corners()).classes == 10
    first_line = shipped_studies()[name].read_text().splitlines()[0]
    assert first_line.startswith("# ")
    assert len(first_line) > 20


@pytest.mark.parametrize(
    ("written", "meant"),
    [("2M", 2e6), ("500k", 5e5), ("1.5 G", 1.5e9), (750_000, 750_000.0), ("64kB", 64_000.0)],
)
def test_a_budget_may_be_written_with_a_prefix(
    quick: dict[str, Any], written: object, meant: float
) -> None:
    assert parse_study({**quick, "budget": {"ops": written}}, "a.toml").budget == {"ops": meant}


def test_an_unnamed_study_is_named_after_its_file(
    quick: dict[str, Any], write_study: Callable[[dict[str, Any]], Path]
) -> None:
    file = write_study(quick)
    file.write_text(file.read_text().replace('name = "quick"\n', ""))
    assert load_study(file.rename(file.with_name("mine.toml"))).name == "mine"


Change = dict[str, Any]
WRONG: list[tuple[Change, str, str]] = [
    ({"trails": 3}, "trails", "did you mean 'trials'"),
    ({"trials": 0}, "trials", "must be at least 1, but got 0"),
    ({"trials": 1.5}, "trials", "must be a whole number, but got 1.5"),
    ({"trials": True}, "trials", "whole number"),
    ({"seed": -1}, "seed", "at least 0"),
    ({"name": "../up"}, "name", "letters from a to z, digits, dots, dashes and underscores"),
    ({"name": "a" * 101}, "name", "at most 100 characters, but has 101"),
    ({"sampler": "bayes"}, "sampler", "no sampler 'bayes'; choose from ehvi, nsga2"),
    ({"sampler": "tpee"}, "sampler", "no sampler 'tpee'; did you mean 'tpe'?"),
    (
        {"space": {"backbone": "cifar-resnt"}},
        "[space] backbone",
        "resnt'; did you mean 'cifar-resnet'?",
    ),
    ({"objectives": ["accuracy"]}, "objectives", "two or more"),
    ({"objectives": ["ops", "ops"]}, "objectives", "different"),
    ({"objectives": ["accuracy", "speed"]}, "objectives", "bops, memory"),
    ({"objectives": "accuracy"}, "objectives", "two or more"),
    ({"objectives": [["accuracy"], 3]}, "objectives", "two or more"),
    ({"budget": {"op": 1}}, "[budget] op", "did you mean 'ops'"),
    ({"budget": {"ops": "2Q"}}, "[budget] ops", "'2Q'"),
    ({"budget": {"ops": 0}}, "[budget] ops", "above 0"),
    ({"recipe": 3}, "recipe", "table"),
    ({"recipe": {"epoch": 1}}, "[recipe] epoch", "did you mean 'epochs'"),
    ({"recipe": {"lr": -0.1}}, "[recipe] lr", "above 0, but got -0.1"),
    ({"recipe": {"lr": float("nan")}}, "[recipe] lr", "finite"),
    ({"recipe": {"epochs": "5"}}, "[recipe] epochs", "whole number, but got '5'"),
    ({"recipe": {"flip": 1}}, "[recipe] flip", "true or false, but got 1"),
    ({"recipe": "cifar-resnet2"}, "recipe", "did you mean 'cifar-resnet20'"),
    ({"recipe": {"pretraining": {"epoch": 1}}}, "[recipe] pretraining.epoch", "'epochs'"),
    ({"recipe": {"distillation": {"teacher": "a"}}}, "[recipe] distillation.weights", "missing"),
    ({"recipe": {"optimizer": "adamww"}}, "[recipe] optimizer", "did you mean 'adamw'?"),
    (
        {"recipe": {"optimizer": "lion"}},
        "[recipe] optimizer",
        "one of sgd, adam, adamw, muon, but got",
    ),
    ({"data": {"source": "mnist"}}, "[data] source", "choose from digits, folder"),
    ({"data": {"size": 2}}, "[data] size", "at least 4"),
    ({"data": {"validation": 1.0}}, "[data] validation", "below 1"),
    ({"data": {"sise": 8}}, "[data] sise", "did you mean 'size'"),
    ({"space": 3}, "space", "table"),
    ({"space": {"dept": 8}}, "[space] dept", "did you mean 'depth'"),
    ({"space": {"depth": 21}}, "[space] depth", "6 n + 2"),
    ({"space": {"depth": [8, 9]}}, "[space] depth", "6 n + 2"),
    ({"space": {"depth": "8"}}, "[space] depth", "whole number"),
    ({"space": {"width": 0.0}}, "[space] width", "above 0"),
    ({"space": {"width": []}}, "[space] width", "one or more"),
    ({"space": {"width": [0.5, 0.5]}}, "[space] width", "different"),
    ({"space": {"width": {"low": 1.0}}}, "[space] width", "low and high"),
    ({"space": {"width": {"low": 1.0, "high": 0.5}}}, "[space] width", "below high"),
    ({"space": {"width": {"low": "a", "high": 0.5}}}, "[space] width", "number"),
    ({"space": {"width": {"low": 0.5, "high": 1.0, "step": 0}}}, "[space] width", "above 0"),
    ({"space": {"threshold": {"low": 0.0, "high": 1.0, "log": True}}}, "threshold", "above 0"),
    ({"space": {"threshold": -0.1}}, "[space] threshold", "at least 0"),
    ({"space": {"fusion": "sparse"}}, "[space] fusion", "compact"),
    ({"space": {"fusion_ratio": 0.5}}, "[space] fusion_ratio", "at least 1"),
    ({"space": {"fusion_ratio": 2, "fusion_channels": 4}}, "fusion_ratio", "not both"),
    ({"space": {"taps": {"stage9": True}}}, "[space] taps.stage9", "taps.stage"),
    ({"space": {"taps": {"stem": 1}}}, "[space] taps.stem", "true or false"),
    ({"space": {"taps": True}}, "[space] taps", "table"),
    ({"space": {"classes": 10}}, "[space] classes", "from the data"),
    ({"space": {"image": [3, 8, 8]}}, "[space] image", "from the data"),
    (
        {"sampler": "grid", "space": {"threshold": {"low": 0.0, "high": 1.0}}},
        "[space] threshold",
        "step",
    ),
]


@pytest.mark.parametrize(("change", "field", "rule"), WRONG, ids=[str(row[0]) for row in WRONG])
def test_a_wrong_value_is_named_with_its_file_field_and_rule(
    quick: dict[str, Any], change: Change, field: str, rule: str
) -> None:
    with pytest.raises(StudyError) as caught:
        parse_study({**quick, **change}, "a.toml")
    sentence = str(caught.value)
    assert sentence.startswith(f"a.toml: {field}") or f" {field}:" in sentence
    assert rule in sentence
    assert "\n" not in sentence


def test_a_study_without_a_space_says_that_it_is_missing(quick: dict[str, Any]) -> None:
    del quick["space"]
    with pytest.raises(StudyError, match=r"a\.toml: space: is missing"):
        parse_study(quick, "a.toml")


NUMBERS = [
    ("budget", "ops"), ("budget", "memory"), ("data", "validation"), ("recipe", "lr"),
    ("recipe", "weight_decay"), ("recipe", "warmup_epochs"), ("stop", "hours"),
    ("resources", "cpus"), ("resources", "gpus"), ("space", "width"), ("space", "threshold"),
    ("space", "fusion_ratio"),
]  # fmt: skip


@pytest.mark.parametrize(("section", "name"), NUMBERS)
@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_a_number_that_is_not_finite_is_refused(
    quick: dict[str, Any], section: str, name: str, value: float
) -> None:
    quick[section] = {**quick.get(section, {}), name: value}
    with pytest.raises(StudyError, match=rf"\[{section}\] {name}"):
        parse_study(quick, "quick.toml")
