from __future__ import annotations

import pytest

from ir2search.study.messages import keys_at
from ir2search.study.objectives import cost_names
from ir2search.study.schema import Study


@pytest.mark.parametrize(
    ("path", "some", "other"),
    [
        ([], {"name", "rungs", "recipe"}, {"epochs"}),
        (["recipe"], {"epochs", "lr", "distillation"}, {"teacher"}),
        (["recipe", "distillation"], {"teacher", "weights"}, {"epochs"}),
        (["recipe", "pretraining"], {"epochs", "lr"}, {"teacher"}),
        (["rungs"], {"minimum", "factor"}, set()),
        (["budget"], set(cost_names()), {"accuracy"}),
    ],
)
def test_the_keys_of_a_section_are_those_of_its_model(
    path: list[str], some: set[str], other: set[str]
) -> None:
    keys = set(keys_at(Study, path))
    assert some <= keys
    assert not other & keys
