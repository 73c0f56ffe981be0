from __future__ import annotations

import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import tomli_w

from ir2search.errors import StudyError
from ir2search.space import Candidate, Choice, Range
from ir2search.study import load_study, shipped_studies
from ir2search.study.schema import parse_study
from ir2search.study.serialise import study_as_dict
from ir2search.training import Recipe

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


@pytest.mark.parametrize("name", sorted(path.stem for path in REPOSITORY.glob("studies/*.toml")))
def test_a_study_written_down_reads_back_as_the_same_study(name: str) -> None:
    study = load_study(name)
    assert parse_study(study_as_dict(study), study.source) == study


def test_a_value_is_fixed_a_list_is_a_choice_and_a_table_is_a_range(quick: dict[str, Any]) -> None:
    quick["space"] = {
        "depth": 8,
        "width": [0.5, 1.0],
        "threshold": {"low": 0.0, "high": 1.0},
        "fusion_ratio": {"low": 2, "high": 8},
        "taps": {"stem": False, "stage1": [True, False]},
    }
    space = parse_study(quick, "a.toml").space
    assert space.fixed == {"depth": 8, "tap_stem": False}
    assert space.searched == {
        "width": Choice((0.5, 1.0)),
        "threshold": Range(0.0, 1.0),
        "fusion_ratio": Range(2, 8),
        "tap_stage1": Choice((True, False)),
    }
    parameters = {"width": 0.5, "threshold": 0.2, "fusion_ratio": 3, "tap_stage1": True}
    expected = Candidate(
        depth=8, width=0.5, threshold=0.2, fusion_ratio=3.0, taps=("stage1", "stage2")
    )
    assert space.candidate(parameters) == expected


@pytest.mark.parametrize(
    ("written", "meant"),
    [("2M", 2e6), ("500k", 5e5), ("1.5 G", 1.5e9), (750_000, 750_000.0), ("64kB", 64_000.0)],
)
def test_a_budget_may_be_written_with_a_prefix(
    quick: dict[str, Any], written: object, meant: float
) -> None:
    assert parse_study({**quick, "budget": {"ops": written}}, "a.toml").budget == {"ops": meant}


def test_a_recipe_may_be_named_and_a_nested_one_survives_being_written(
    quick: dict[str, Any],
) -> None:
    named = parse_study({**quick, "recipe": "imagenet-resnet18-D"}, "a.toml")
    assert named.recipe.pretraining is not None
    distillation = {"teacher": "resnet34", "weights": "t.pth", "temperature": 2.0}
    recipe = {"epochs": 3, "pretraining": {"epochs": 2, "lr": 0.5}, "distillation": distillation}
    nested = parse_study({**quick, "recipe": recipe}, "a.toml")
    assert nested.recipe.pretraining == Recipe(epochs=2, lr=0.5)
    for study in (named, nested):
        written = tomli_w.dumps(study_as_dict(study))
        assert parse_study(tomllib.loads(written), "a.toml") == study


def test_an_unnamed_study_is_named_after_its_file(
    quick: dict[str, Any], write_study: Callable[[dict[str, Any]], Path]
) -> None:
    file = write_study(quick)
    file.write_text(file.read_text().replace('name = "quick"\n', ""))
    assert load_study(file.rename(file.with_name("mine.toml"))).name == "mine"


Change = dict[str, Any]
WRONG: list[tuple[Change, str, str]] = [
    ({"trails": 3}, "trails", "did you mean 'trials'"),
    ({"trials": 0}, "trials", "greater than or equal to 1"),
    ({"trials": 1.5}, "trials", "integer"),
    ({"trials": True}, "trials", "integer"),
    ({"seed": -1}, "seed", "greater than or equal to 0"),
    ({"name": "../up"}, "name", "pattern"),
    ({"sampler": "bayes"}, "sampler", "'tpe'"),
    ({"sampler": "tpee"}, "sampler", "but got 'tpee'; did you mean 'tpe'?"),
    (
        {"space": {"backbone": "cifar-resnt"}},
        "[space] backbone",
        "resnt'; did you mean 'cifar-resnet'?",
    ),
    ({"objectives": ["accuracy"]}, "objectives", "two or more"),
    ({"objectives": ["ops", "ops"]}, "objectives", "different"),
    ({"objectives": ["accuracy", "speed"]}, "objectives", "bops, memory"),
    ({"objectives": "accuracy"}, "objectives", "two or more"),
    ({"budget": {"op": 1}}, "[budget] op", "did you mean 'ops'"),
    ({"budget": {"ops": "2Q"}}, "[budget] ops", "'2Q'"),
    ({"budget": {"ops": 0}}, "[budget] ops", "greater than 0"),
    ({"recipe": 3}, "recipe", "table"),
    ({"recipe": {"epoch": 1}}, "[recipe] epoch", "did you mean 'epochs'"),
    ({"recipe": {"lr": -0.1}}, "[recipe] lr", "greater than 0"),
    ({"recipe": {"lr": float("nan")}}, "[recipe] lr", "finite"),
    ({"recipe": {"epochs": "5"}}, "[recipe] epochs", "integer"),
    ({"recipe": {"flip": 1}}, "[recipe] flip", "boolean"),
    ({"recipe": "cifar-resnet2"}, "recipe", "did you mean 'cifar-resnet20'"),
    ({"recipe": {"pretraining": {"epoch": 1}}}, "[recipe] pretraining.epoch", "'epochs'"),
    ({"recipe": {"distillation": {"teacher": "a"}}}, "[recipe] distillation.weights", "missing"),
    ({"recipe": {"optimizer": "lion"}}, "[recipe] optimizer", "'adamw'"),
    ({"data": {"source": "mnist"}}, "[data] source", "there are digits, folder"),
    ({"data": {"size": 2}}, "[data] size", "greater than or equal to 4"),
    ({"data": {"validation": 1.0}}, "[data] validation", "less than 1"),
    ({"data": {"sise": 8}}, "[data] sise", "did you mean 'size'"),
    ({"space": 3}, "space", "table"),
    ({"space": {"dept": 8}}, "[space] dept", "did you mean 'depth'"),
    ({"space": {"depth": 21}}, "[space] depth", "6 n + 2"),
    ({"space": {"depth": [8, 9]}}, "[space] depth", "6 n + 2"),
    ({"space": {"depth": "8"}}, "[space] depth", "integer"),
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


def test_an_unknown_study_lists_a_near_name() -> None:
    with pytest.raises(StudyError, match="did you mean 'digits'"):
        load_study("digit")


@pytest.mark.parametrize("content", [b"trials = ", b"\xff\xfe\x00", b"[space\n"])
def test_a_file_that_is_no_toml_is_named(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "broken.toml"
    file.write_bytes(content)
    with pytest.raises(StudyError, match=r"broken\.toml: not valid TOML"):
        load_study(file)
