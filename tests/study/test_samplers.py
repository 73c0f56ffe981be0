from __future__ import annotations

from typing import Any

import pytest

from ir2search.errors import SpaceError, StudyError
from ir2search.study.loading import parse_study
from ir2search.study.samplers import SAMPLERS


@pytest.mark.parametrize("name", SAMPLERS)
def test_a_study_may_name_any_registered_sampler(quick: dict[str, Any], name: str) -> None:
    quick["space"] |= {"threshold": [0.0, 0.5]}
    assert parse_study({**quick, "sampler": name}, "a.toml").sampler == name


def test_a_sampler_of_accuracy_needs_it_among_the_objectives(quick: dict[str, Any]) -> None:
    values = {**quick, "objectives": ["ops", "memory"]}
    assert {name for name, needs in SAMPLERS.items() if needs.accuracy} == {"ehvi"}
    for name, needs in SAMPLERS.items():
        if needs.accuracy:
            with pytest.raises(StudyError, match=f'"{name}" needs accuracy among the objectives'):
                parse_study({**values, "sampler": name}, "a.toml")


def test_a_sampler_of_all_combinations_needs_a_finite_space(quick: dict[str, Any]) -> None:
    quick["space"] |= {"threshold": {"low": 0.0, "high": 1.0}}
    assert {name for name, needs in SAMPLERS.items() if needs.finite_space} == {"grid"}
    for name, needs in SAMPLERS.items():
        if needs.finite_space:
            with pytest.raises((SpaceError, StudyError), match=r"\[space\] threshold"):
                parse_study({**quick, "sampler": name}, "a.toml")
