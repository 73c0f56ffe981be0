from __future__ import annotations

from typing import Any

import pytest

from ir2search.errors import StudyError
from ir2search.study.loading import parse_study
from ir2search.study.sections import Rungs


def test_rungs_grow_by_the_factor_up_to_all_epochs() -> None:
    assert Rungs(minimum=1, factor=3).levels(20) == (1, 3, 9, 20)
    assert Rungs(minimum=2, factor=2).levels(16) == (2, 4, 8, 16)


@pytest.mark.parametrize(
    ("rungs", "message"),
    [
        ({"minimum": 0}, r"\[rungs\] minimum: must be at least 1, but got 0"),
        ({"factor": 1}, r"\[rungs\] factor: must be at least 2, but got 1"),
        ({"minimum": 4}, r"\[rungs\] minimum: must be below the recipe's 4 epochs, but got 4"),
        ({"minimun": 4}, r"\[rungs\] minimun: there is no such key; did you mean 'minimum'\?"),
    ],
)
def test_wrong_rungs_are_named(quick: dict[str, Any], rungs: dict[str, int], message: str) -> None:
    quick["recipe"]["epochs"] = 4
    with pytest.raises(StudyError, match=message):
        parse_study({**quick, "rungs": rungs}, "a.toml")
