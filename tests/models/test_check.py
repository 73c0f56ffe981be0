from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from torch import nn

from ir2search.errors import StudyError
from ir2search.models import FAMILIES
from ir2search.models.check import check_family, check_network
from ir2search.space import Candidate, build

FAMILY = FAMILIES["cifar-resnet"]
SMALL = Candidate(depth=8, width=0.125, image=(1, 8, 8))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({}, None),
        ({"taps": ("stem", "stem", "stage2")}, "taps: must be one or more names"),
        ({"channel_factors": (1, 2)}, "channel_factors: must be 4 whole numbers"),
        ({"stages": ("stage1", "end")}, "stages: must be empty, or the taps without the first"),
        ({"base_width": 0}, "base_width: must be at least 1, but got 0"),
        ({"min_side": 0}, "min_side: must be at least 1, but got 0"),
        ({"depth": 9}, "depth: must be one for which has_depth is true, but got 9"),
        ({"has_depth": lambda depth: 1 / 0}, "has_depth of backbone 'mine' fails: ZeroDivision"),
    ],
)
def test_the_values_of_a_family_must_agree(change: dict[str, Any], message: str | None) -> None:
    family = replace(FAMILY, **change)
    if message is None:
        check_family("mine", family)
        return
    with pytest.raises(StudyError, match=message):
        check_family("mine", family)


@pytest.mark.parametrize(
    ("family", "network", "channels", "classes", "message"),
    [
        (FAMILY, build(SMALL), (2, 2, 4, 8), 10, None),
        (FAMILY, nn.Identity(), (2, 2, 4, 8), 10, "must build a TappedNetwork, but built Identity"),
        (
            replace(FAMILY, taps=("a", "b", "c")),
            build(SMALL),
            (2, 2, 4, 8),
            10,
            "a, b, c, but are stem",
        ),
        (FAMILY, build(SMALL), (3, 2, 4, 8), 10, "maps of stem must have 3 channels"),
        (FAMILY, build(SMALL), (2, 2, 4, 8), 7, r"must give \(N, 7\) logits, but gave \(2, 10\)"),
    ],
)
def test_a_network_must_match_its_family(
    family: Any, network: Any, channels: tuple[int, ...], classes: int, message: str | None
) -> None:
    if message is None:
        check_network("mine", family, network, channels, SMALL.image, classes)
        return
    with pytest.raises(StudyError, match=message):
        check_network("mine", family, network, channels, SMALL.image, classes)
