from __future__ import annotations

from typing import Any

import pytest

from ir2search.errors import StudyError
from ir2search.space import Choice, Range
from ir2search.study.loading import parse_study
from ir2search.study.recipe_section import recipe_domains
from ir2search.study.schema import Study
from ir2search.study.serialise import definition, study_as_dict


def study(sampler: str = "tpe", **recipe: Any) -> Study:
    values = {"sampler": sampler, "space": {"depth": 8, "width": [0.25, 0.5]}, "recipe": recipe}
    return parse_study(values, "a.toml")


def test_lists_and_ranges_of_the_recipe_are_searched_and_the_rest_is_fixed() -> None:
    found = study(
        epochs=3, lr={"low": 0.01, "high": 0.3, "log": True}, optimizer=["muon", "sgd"], flip=False
    )
    assert recipe_domains(found.space) == {
        "lr": Range(0.01, 0.3, log=True),
        "optimizer": Choice(("muon", "sgd")),
    }
    assert found.space.searched.keys() == {"width", "recipe_lr", "recipe_optimizer"}
    assert (found.recipe.epochs, found.recipe.flip) == (3, False)


def test_a_study_with_a_searched_recipe_is_written_and_read_back() -> None:
    first = study(epochs=3, lr={"low": 0.01, "high": 0.3, "log": True}, batch_size=[64, 128])
    second = parse_study(study_as_dict(first), "a.toml")
    assert second == first
    assert definition(second) == definition(first)
    assert definition(first) != definition(study(epochs=3, batch_size=[64, 128]))


@pytest.mark.parametrize(
    ("recipe", "message"),
    [
        ({"lr": {"low": -0.1, "high": 0.3}}, "lr: must be above 0, but got -0.1"),
        ({"lr": {"low": 0.1}}, "lr: a range has low and high, and may have step or log"),
        ({"lr": []}, "lr: must list one or more different values"),
        ({"optimizer": ["sgd", "mun"]}, "optimizer: must be one of .*; did you mean 'muon'?"),
        ({"lrr": [0.1, 0.2]}, "lrr: there is no such key; did you mean 'lr'?"),
        ({"epochs": [3, 4]}, "epochs: must be the same for all"),
        ({"pretraining": [1, 2]}, "pretraining: must be the same for all"),
        ({"pretraining": {"lr": [0.1, 0.2]}}, "pretraining.lr: must be"),
        ({"batch_size": {"low": 0.5, "high": 2.5}}, "batch_size: must be"),
    ],
)
def test_a_wrong_domain_is_named_with_its_section(recipe: dict[str, Any], message: str) -> None:
    with pytest.raises(StudyError, match=r"^a.toml: \[recipe\] " + message):
        study(**recipe)


def test_a_grid_needs_values() -> None:
    with pytest.raises(StudyError, match=r"^a.toml: \[recipe\] lr: a grid needs a list of values"):
        study("grid", lr={"low": 0.01, "high": 0.3})


def test_the_space_section_has_no_recipe() -> None:
    with pytest.raises(StudyError, match=r"\[space\] recipe: .* belong in \[recipe\]"):
        parse_study({"space": {"recipe": {"lr": [0.1, 0.2]}}}, "a.toml")
