from __future__ import annotations

import pytest

from ir2search.models.families import FAMILIES


@pytest.mark.parametrize(
    ("backbone", "width", "stem", "last"),
    [("cifar-resnet", 1.0, 16, 64), ("cifar-resnet", 0.01, 1, 4), ("cifar-vgg", 0.5, 64, 256)],
)
def test_channels_are_rounded_and_at_least_one(
    backbone: str, width: float, stem: int, last: int
) -> None:
    channels = FAMILIES[backbone].channels(width)
    assert (channels[0], channels[-1]) == (stem, last)


def test_the_default_depth_of_a_family_is_allowed() -> None:
    for family in FAMILIES.values():
        assert family.has_depth(family.depth)
        assert not family.has_depth(family.depth + 1)
        assert len(family.channel_factors) == len(family.taps) + 1
