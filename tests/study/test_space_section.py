from __future__ import annotations

import re

import pytest

from ir2search.errors import SpaceError
from ir2search.space import Candidate, Choice, Range
from ir2search.study.space_section import parse_space, space_as_dict


def test_a_value_is_fixed_a_list_is_a_choice_and_a_table_is_a_range() -> None:
    values = {
        "depth": 8,
        "width": [0.5, 1.0],
        "threshold": {"low": 0.0, "high": 1.0},
        "fusion_ratio": {"low": 2, "high": 8},
        "taps": {"stem": False, "stage1": [True, False]},
        "widths": {"stage2": 0.5, "stage3": [0.5, 1.0]},
        "kernels": {"stage1": 1},
        "groups": {"stage3": [1, 2]},
        "binary": {"stage1": False, "stage3.0": [True, "int8"]},
        "stem_stride": [1, 2],
    }
    space = parse_space(values)
    assert space.fixed == {
        "depth": 8, "tap_stem": False, "widths_stage2": 0.5, "kernels_stage1": 1,
        "binary_stage1": False,
    }  # fmt: skip
    assert space.searched == {
        "width": Choice((0.5, 1.0)),
        "threshold": Range(0.0, 1.0),
        "fusion_ratio": Range(2, 8),
        "tap_stage1": Choice((True, False)),
        "widths_stage3": Choice((0.5, 1.0)),
        "groups_stage3": Choice((1, 2)),
        "binary_stage3.0": Choice((True, "int8")),
        "stem_stride": Choice((1, 2)),
    }
    parameters = {"width": 0.5, "threshold": 0.2, "fusion_ratio": 3, "tap_stage1": True}
    parameters |= {"widths_stage3": 1.0, "groups_stage3": 2, "stem_stride": 2}
    parameters |= {"binary_stage3.0": "int8"}
    expected = Candidate(
        depth=8, width=0.5, threshold=0.2, fusion_ratio=3.0, taps=("stage1", "stage2"),
        widths=(1.0, 0.5, 1.0), kernels=(1, 3, 3), groups=(1, 1, 2), stem_stride=2,
        real_layers=("stage1",), int8_layers=("stage3.0",),
    )  # fmt: skip
    assert space.candidate(parameters) == expected
    assert parse_space(space_as_dict(space)) == space


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("threshold", {"low": 0, "high": 1, "step": 1e-10}, "at most 10000 values, but has 1e+10"),
        ("depth", {"low": 8, "high": 600_000_000_000}, "depth: may have at most 10000 values"),
        ("threshold", {"low": 0, "high": 1, "step": float("inf")}, "step must be finite"),
        ("widths", 0.5, "widths: must be a table by stage"),
        ("binary", False, "binary: must be a table by stage or layer"),
        ("binary", {"stage3": {"0": False}}, 'binary: write "stage3.0" in quotes'),
        ("width", {"low": 0.1, "high": 1.0, "log": "yes"}, "log must be true or false"),
    ],
)
def test_a_range_is_bounded(key: str, value: object, message: str) -> None:
    with pytest.raises(SpaceError, match=re.escape(message)):
        parse_space({key: value})


def test_several_backbones_are_refused_by_name() -> None:
    with pytest.raises(SpaceError, match=r"^backbone: all networks of a space have the same one"):
        parse_space({"backbone": ["cifar-resnet", "cifar-vgg"], "depth": [7, 20]})
