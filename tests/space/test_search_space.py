from __future__ import annotations

import contextlib
import math
import random
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import ir2search as ir
from ir2search.errors import CandidateError, SpaceError
from ir2search.space import Choice, Range, SearchSpace


def space(**searched: Choice | Range) -> SearchSpace:
    return SearchSpace({"depth": 8, "image": (1, 8, 8)}, searched)


@pytest.mark.parametrize(
    ("fixed", "searched", "message"),
    [
        ({"dept": 8}, {}, "dept: no such parameter; did you mean 'depth'"),
        ({}, {"tap_stage7": Choice((True,))}, "taps.stage7: no such parameter"),
        ({"taps": ("stem",)}, {}, "taps: no such parameter"),
        ({"fusion_ratio": 2}, {"fusion_channels": Range(2, 4)}, "not both"),
        ({"backbone": "alexnet"}, {}, "backbone: must be one of"),
        ({}, {"depth": Range(8, 9)}, "depth: must be 6 n"),
        ({}, {"depth": Range(8, 20, step=4)}, "depth: must be 6 n"),
        ({}, {"fusion_channels": Range(1, 3, step=0.5)}, "fusion_channels: must be"),
        ({}, {"threshold": Range(-1.0, 1.0)}, "threshold: must be at least 0"),
        ({}, {"tap_stem": Choice((0, 1))}, "taps.stem: must be true or false, but got 0"),
        ({}, {"widths_stage9": Choice((0.5,))}, "widths.stage9: no such parameter"),
        ({}, {"widths_stage1": Choice((0.5,))}, "widths.stage1: no such parameter"),
        ({}, {"kernels_stage1": Choice((3, 4))}, "kernels: each must be 1, 3 or 5"),
        ({}, {"groups_stage1": Choice((1, 0))}, "groups: each must be at least 1"),
        ({}, {"widths_stage2": Choice((1.0, 9.0))}, "widths: each must be above 0 and at most 8"),
        ({"stem_kernel": 6}, {}, "stem_kernel: must be odd or equal to the stride"),
        ({"binary_stage3.6": False}, {}, "binary.stage3.6: no such parameter"),
        ({"depth": 8, "binary_stage3.2": False}, {}, "binary.stage3.2: no such parameter"),
        ({}, {"binary_stage3": Choice((0, 1))}, 'stage3: must be true, false or "int8", but got 0'),
        ({"real_layers": ("stage1",)}, {}, "real_layers: no such parameter"),
    ],
)
def test_a_malformed_space_is_refused(
    fixed: dict[str, Any], searched: dict[str, Any], message: str
) -> None:
    with pytest.raises((SpaceError, CandidateError), match=message):
        SearchSpace(fixed, searched)


def test_a_grid_holds_every_combination_once() -> None:
    searched = space(
        width=Choice((0.25, 0.5)),
        threshold=Range(0.0, 0.3, step=0.1),
        fusion_channels=Range(1, 3),
        tap_stem=Choice((True, False)),
    )
    points = list(searched.grid())
    assert len(points) == 2 * 4 * 3 * 2
    assert len({tuple(point.values()) for point in points}) == len(points)
    assert {searched.candidate(point).threshold for point in points} == {0.0, 0.1, 0.2, 0.3}
    with pytest.raises(SpaceError, match="threshold: a grid needs"):
        space(threshold=Range(0.0, 1.0)).grid()


def test_points_enumerate_a_small_space_and_sample_a_large_one() -> None:
    small = space(width=Choice((0.25, 0.5)), fusion_channels=Range(1, 5))
    drawn = list(small.points(random.Random(0), 10))
    assert sorted(map(str, drawn)) == sorted(map(str, small.grid()))
    assert drawn != list(small.grid()), "in random order"
    assert small.size == len(drawn)
    large = space(width=Range(0.25, 1.0, log=True), threshold=Range(0.0, 1.0))
    sample = list(large.points(random.Random(0), 50))
    assert len(sample) == 50
    assert large.size == math.inf
    assert all(0.25 <= float(point["width"]) <= 1 for point in sample)
    assert sample == list(large.points(random.Random(0), 50))


def test_a_space_takes_image_and_classes_from_the_data() -> None:
    found = space(width=Choice((0.5,))).with_data((2, 12, 12), 7).candidate({"width": 0.5})
    assert (found.image, found.classes, found.width, found.depth) == ((2, 12, 12), 7, 0.5, 8)


@settings(max_examples=5)
@given(st.data())
def test_the_minimum_of_every_cost_is_at_a_corner(data: st.DataObject) -> None:
    """Brute force over small spaces: a corner has the minimum of each cost."""
    domains: dict[str, st.SearchStrategy[Choice | Range]] = {
        "width": st.sampled_from([Choice((0.25, 0.125)), Range(0.125, 0.25, step=0.0625)]),
        "depth": st.just(Range(8, 14, step=6)),
        "threshold": st.just(Choice((0.0, 0.5))),
        "fusion": st.sampled_from([Choice(("dense", "compact")), Choice(("compact", "none"))]),
        "fusion_channels": st.sampled_from([Range(1, 6), Range(2, 9, step=3)]),
        "tap_stem": st.just(Choice((True, False))),
        "tap_stage2": st.just(Choice((False, True))),
        "stem_width": st.just(Choice((2.0, 0.5, 1.0))),
        "stem_stride": st.just(Choice((1, 2))),
        "stem_kernel": st.just(Choice((3, 2))),
        "kernels_stage1": st.just(Choice((3, 1))),
        "groups_stage3": st.just(Choice((1, 2, 4))),
        "widths_stage2": st.just(Choice((1.0, 0.5, 1.5))),
        "binary_stage2": st.just(Choice((False, "int8", True))),
        "binary_stage2.0": st.just(Choice((True, False))),
    }
    chosen = data.draw(
        st.lists(st.sampled_from(sorted(domains)), unique=True, min_size=1, max_size=4)
    )
    searched = SearchSpace(
        {"image": (1, 8, 8), "width": 0.25} if "width" not in chosen else {"image": (1, 8, 8)},
        {name: data.draw(domains[name]) for name in chosen},
    )
    everything = [ir.cost(candidate) for candidate in _valid(searched)]
    corners = [ir.cost(candidate) for candidate in searched.corners()]
    for name in ("ops", "flops", "bops", "memory_bytes"):
        least = min(getattr(price, name) for price in everything)
        assert min(getattr(price, name) for price in corners) == least


def _valid(searched: SearchSpace) -> Iterator[ir.Candidate]:
    for point in searched.grid():
        with contextlib.suppress(CandidateError):  # a kernel that misses pixels
            yield searched.candidate(point)


def test_corners_begin_with_the_cheapest_value_of_each_part_of_the_shape() -> None:
    searched = space(
        width=Choice((1.0, 0.25, 0.5)),
        stem_stride=Choice((1, 2)),
        stem_width=Choice((1.0, 0.5)),
        widths_stage3=Choice((2.0, 0.5)),
        kernels_stage1=Choice((3, 1)),
        groups_stage2=Choice((1, 4)),
        tap_stem=Choice((True, False)),
        binary_stage3=Choice((False, "int8")),
    )
    first = next(searched.corners())
    assert (first.width, first.stem_stride, first.stem_width) == (0.25, 2, 0.5)
    assert (first.kernels, first.groups) == ((1, 3, 3), (1, 4, 1))
    assert (first.int8_layers, first.real_layers) == (("stage3",), ())
    assert (first.widths, first.taps) == ((1.0, 1.0, 0.5), ("stage1", "stage2"))


def test_a_layer_has_the_precision_of_the_smallest_part_around_it() -> None:
    searched = SearchSpace(
        {"binary_stage3": False, "binary_stage3.1": True},
        {"depth": Choice((8, 14)), "binary_stage2": Choice((True, "int8", False))},
    )
    point = {"depth": 8, "binary_stage2": "int8"}
    assert searched.candidate(point) == ir.Candidate(
        depth=8, int8_layers=("stage2",), real_layers=("stage3.0",)
    )
    deep = SearchSpace({"binary_stage1.3": False}, {"depth": Choice((8, 14))})
    assert deep.candidate({"depth": 14}).real_layers == ("stage1.3",)
    with pytest.raises(CandidateError, match=r"binary.stage1.3: no such layer at depth 8"):
        deep.candidate({"depth": 8})


@pytest.mark.parametrize(
    "candidate",
    [
        ir.Candidate(),
        ir.Candidate(width=0.25, taps=("stage2",), fusion_channels=7, stem_stride=2),
        ir.Candidate(kernels=(1, 3, 5), widths=(1, 0.5, 1), taps=(), real_layers=("stage1.0",)),
        ir.Candidate(backbone="cifar-vgg", depth=7, taps=("conv1",), int8_layers=("conv2",)),
    ],
)
def test_the_space_of_a_candidate_has_this_candidate_alone(candidate: ir.Candidate) -> None:
    found = SearchSpace.of(candidate).with_data(candidate.image, candidate.classes)
    assert found.candidate({}) == candidate
    assert found.size == 1
