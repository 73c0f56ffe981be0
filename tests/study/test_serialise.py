from __future__ import annotations

import tomllib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ir2search.study import load_study, shipped_studies
from ir2search.study.loading import parse_study
from ir2search.study.schema import Study
from ir2search.study.serialise import MAY_CHANGE, definition, study_as_dict, study_as_toml
from ir2search.training import Recipe


def written_and_read(study: Study) -> Study:
    return parse_study(tomllib.loads(study_as_toml(study)), study.source)


@pytest.mark.parametrize("name", sorted(shipped_studies()))
def test_a_shipped_study_reads_back_as_the_same_study(name: str) -> None:
    study = load_study(name)
    assert written_and_read(study) == study


counts = st.integers(1, 50)
numbers = st.floats(0.01, 100)
SECTIONS: dict[str, st.SearchStrategy[Any]] = {
    "seed": st.integers(0, 2**31 - 1),
    "trials": counts,
    "sampler": st.sampled_from(["ehvi", "tpe", "random"]),
    "budget": st.dictionaries(st.sampled_from(["ops", "memory"]), numbers),
    "rungs": st.fixed_dictionaries({}, optional={"factor": st.integers(2, 5)}),
    "stop": st.fixed_dictionaries({}, optional={"hours": numbers, "stale_trials": counts}),
    "confirm": st.fixed_dictionaries({}, optional={"seeds": counts}),
    "supernet": st.fixed_dictionaries(
        {},
        optional={"epochs": counts, "members": st.sampled_from(["inherited", "fine-tuned"])},
    ),
    "warm_start": st.fixed_dictionaries({"epochs": counts}),
    "resources": st.fixed_dictionaries({}, optional={"gpus": numbers}),
    "data": st.fixed_dictionaries({}, optional={"size": st.integers(4, 64)}),
    "recipe": st.fixed_dictionaries({"epochs": st.integers(2, 9)}, optional={"lr": numbers}),
}


@given(st.fixed_dictionaries({}, optional=SECTIONS), counts)
def test_any_study_reads_back_as_the_same_study(sections: dict[str, Any], width: int) -> None:
    space = {
        "depth": [8, 14],
        "width": {"low": 0.1, "high": float(width)},
        "taps": {"stem": [True, False], "stage1": False},
    }
    if "supernet" in sections:
        excluded = ("rungs", "warm_start", "confirm")
        sections = {name: each for name, each in sections.items() if name not in excluded}
    study = parse_study({"space": space, **sections}, "a.toml")
    assert written_and_read(study) == study
    assert not set(definition(study)) & set(MAY_CHANGE)


def test_a_named_recipe_and_a_nested_one_read_back(quick: dict[str, Any]) -> None:
    named = parse_study({**quick, "recipe": "imagenet-resnet18-D"}, "a.toml")
    assert named.recipe.pretraining is not None
    distillation = {"teacher": "resnet34", "weights": "t.pth", "temperature": 2.0}
    recipe = {"epochs": 3, "pretraining": {"epochs": 2, "lr": 0.5}, "distillation": distillation}
    nested = parse_study({**quick, "recipe": recipe}, "a.toml")
    assert nested.recipe.pretraining == Recipe(epochs=2, lr=0.5)
    for study in (named, nested):
        assert written_and_read(study) == study


def test_only_sections_that_differ_from_the_default_are_written(quick: dict[str, Any]) -> None:
    plain = parse_study(quick, "a.toml")
    sections = {"name", "seed", "trials", "sampler", "objectives", "data", "space", "recipe"}
    assert set(study_as_dict(plain)) == sections
    same = parse_study({**quick, "stop": {}, "resources": {"cpus": 1.0}, "budget": {}}, "a.toml")
    assert study_as_dict(same) == study_as_dict(plain)
    assert "rungs" in study_as_dict(parse_study({**quick, "rungs": {}}, "a.toml"))


def test_what_happens_to_the_front_may_change_in_a_started_run(quick: dict[str, Any]) -> None:
    first, other, further = (
        definition(parse_study({**quick, "supernet": supernet}, "a.toml"))
        for supernet in ({}, {"members": "fine-tuned", "finetune": 9}, {"epochs": 61})
    )
    assert first == other
    assert first != further


def test_a_definition_is_the_same_in_another_folder_of_images(quick: dict[str, Any]) -> None:
    first, second = (
        parse_study({**quick, "data": {"source": "folder", "path": path}}, "a.toml")
        for path in ("here", "there")
    )
    assert first != second
    assert definition(first) == definition(second)


@pytest.mark.parametrize("name", shipped_studies())
def test_the_study_of_a_run_has_its_parameters_in_the_same_order(name: str) -> None:
    study = load_study(name)
    again = written_and_read(study)
    assert again == study
    assert list(again.space.searched) == list(study.space.searched)
