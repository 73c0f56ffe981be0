from __future__ import annotations

import json
import math
import random
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

import ir2search as ir
from ir2search.errors import CandidateError, SpaceError
from ir2search.space import Candidate, Choice, Range, SearchSpace, build, candidate_from_dict

TAPS = ("stem", "stage1", "stage2")


@st.composite
def candidates(draw: st.DrawFn) -> Candidate:
    try:
        return Candidate(
            depth=draw(st.sampled_from([8, 14])),
            width=draw(st.floats(0.05, 0.6)),
            taps=tuple(draw(st.lists(st.sampled_from(TAPS), unique=True))),
            fusion=draw(st.sampled_from(["none", "dense", "compact"])),
            fusion_ratio=draw(st.floats(1, 10)),
            fusion_group_size=draw(st.sampled_from([1, 1, 2])),
            threshold=draw(st.sampled_from([0.0, 0.1, 0.1 + 1e-9, 0.15, 0.3, 0.1 + 0.2, 1.5])),
            normalization=draw(st.sampled_from(["map", "column"])),
            weights=draw(st.sampled_from(["binary", "real"])),
            activations=draw(st.sampled_from(["binary", "real"])),
            image=draw(st.sampled_from([(3, 32, 32), (1, 8, 8)])),
            classes=draw(st.integers(2, 11)),
            recipe=draw(st.sampled_from([(), (("lr", 0.1), ("flip", True)), (("lr", 0.2),)])),
        )
    except CandidateError:
        assume(False)  # groups that do not divide the fusion width
        raise


def test_ids_are_the_same_on_every_machine() -> None:
    assert Candidate().id == "44136fa355b3"
    small = Candidate(depth=8, width=0.5, threshold=0.3, taps=("stage2",), fusion="dense")
    assert small.id == "06651172622b"
    assert Candidate().twin().id == "ff040fd73657"


@given(candidates())
def test_a_candidate_can_be_saved_as_json(candidate: Candidate) -> None:
    again = candidate_from_dict(json.loads(json.dumps(candidate.as_dict())))
    assert again == candidate
    assert again.id == candidate.id
    assert hash(again) == hash(candidate)


@given(candidates())
def test_a_candidate_is_the_default_plus_its_differences(candidate: Candidate) -> None:
    assert candidate_from_dict(Candidate().as_dict() | candidate.differences()) == candidate


@given(candidates(), candidates())
def test_ids_are_equal_when_candidates_are(one: Candidate, other: Candidate) -> None:
    assert (one.id == other.id) == (one == other)


@settings(deadline=None, max_examples=30, suppress_health_check=[HealthCheck.filter_too_much])
@given(candidates(), candidates())
def test_different_candidates_are_different_networks_or_trainings(
    one: Candidate, other: Candidate
) -> None:
    """Candidates that are not equal differ in shapes, precisions or restriction."""
    assume(one != other)
    trainings = [(c.threshold, c.normalization, c.recipe) for c in (one, other)]
    if trainings[0] != trainings[1] or one.image != other.image:
        return
    shapes = [
        [(name, tuple(p.shape)) for name, p in build(c).named_parameters()] for c in (one, other)
    ]
    precisions = [(c.weights, c.activations) for c in (one, other)]
    assert shapes[0] != shapes[1] or precisions[0] != precisions[1]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"fusion_ratio": 4.0}, {}),
        ({"fusion_channels": 16}, {}),
        ({"fusion_ratio": 4.1}, {"fusion_channels": 16}),
        ({"fusion_ratio": 1.0}, {"fusion": "dense"}),
        ({"fusion_channels": 64}, {"fusion": "dense"}),
        ({"fusion_channels": 900}, {"fusion": "dense"}),
        ({"fusion": "dense", "fusion_ratio": 3.0}, {"fusion": "dense"}),
        ({"fusion": "dense", "fusion_group_size": 7}, {"fusion": "dense"}),
        ({"taps": ()}, {"fusion": "none"}),
        ({"taps": (), "fusion_channels": 5}, {"fusion": "none", "fusion_group_size": 3}),
        ({"taps": ("stage2", "stem")}, {"taps": ("stem", "stage2")}),
        ({"threshold": 0.0, "normalization": "column"}, {"threshold": 0.0}),
        ({"threshold": 0.1 + 0.2}, {"threshold": 0.3}),
        ({"threshold": 1}, {"threshold": 1.0}),
        ({"width": 0.51}, {"width": 0.5}),
        ({"width": 0.001}, {"width": 1 / 16}),
    ],
)
def test_equal_networks_are_one_candidate(one: dict[str, Any], other: dict[str, Any]) -> None:
    a, b = Candidate(**one), Candidate(**other)
    assert a == b
    assert a.id == b.id
    torch.manual_seed(0)
    first = build(a)
    torch.manual_seed(0)
    second = build(b)
    weights = second.state_dict()
    assert all(torch.equal(value, weights[name]) for name, value in first.state_dict().items())


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"backbone": "alexnet"}, "backbone: must be one of cifar-resnet, .* but got 'alexnet'"),
        ({"depth": 19}, r"depth: must be 6 n \+ 2 .*, but got 19"),
        ({"depth": 2}, "depth: must be 6 n"),
        ({"width": 0.0}, "width: must be above 0 and at most 64, but got 0.0"),
        ({"width": math.inf}, "width: must be above 0 and at most 64"),
        ({"width": 1e6}, "width: must be above 0 and at most 64"),
        ({"depth": 5000}, "depth: must be at most 1202"),
        ({"classes": 2**63}, "classes: must be from 2 to 100000"),
        ({"image": (3, 30_000, 30_000)}, "image: must have at most 4096 pixels a side"),
        ({"taps": ("stem", "stage9")}, "taps: must be among stem, .* but got stage9"),
        ({"threshold": -0.1}, "threshold: must be at least 0 and finite, but got -0.1"),
        ({"threshold": math.nan}, "threshold: must be at least 0 and finite"),
        ({"classes": 1}, "classes: must be from 2 to 100000, but got 1"),
        ({"image": (0, 32, 32)}, "image: must have 1 to 64 channels"),
        ({"image": (3, 2, 32)}, "image: .* at least 4 pixels a side, but got 2"),
        ({"fusion": "sum"}, "fusion: must be one of none, dense, compact, but got sum"),
        ({"fusion_ratio": 0.5}, "fusion_ratio: must be at least 1 and finite, but got 0.5"),
        ({"fusion_channels": 0}, "fusion_channels: must be at least 1, but got 0"),
        ({"fusion_ratio": 2.0, "fusion_channels": 4}, "give it or fusion_channels, not both"),
        ({"fusion_group_size": 0}, "fusion_group_size: must be at least 1, but got 0"),
        ({"fusion_group_size": 3}, "must divide the fusion width 16, but got 3"),
        ({"weights": "ternary"}, "weights: must be one of binary, real, but got ternary"),
    ],
)
def test_a_value_out_of_range_is_named_with_its_rule(values: dict[str, Any], message: str) -> None:
    with pytest.raises(CandidateError, match=message):
        Candidate(**values)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"depht": 8}, "no field 'depht'"),
        ({"depth": "8"}, "depth: must be a whole number, but got '8'"),
        ({"taps": "stem"}, "taps: must be a list"),
        ({"depth": 9}, "x.json: depth: must be 6 n"),
    ],
)
def test_a_wrong_field_of_a_file_is_named_with_the_file(
    values: dict[str, Any], message: str
) -> None:
    with pytest.raises(CandidateError, match=message) as caught:
        candidate_from_dict(values, "x.json")
    assert str(caught.value).startswith("x.json: ")


def test_twin_and_backbone_of_a_candidate() -> None:
    candidate = Candidate(threshold=0.4)
    assert candidate.twin() == Candidate(threshold=0.4, weights="real", activations="real")
    assert candidate.backbone_only() == Candidate(fusion="none", threshold=0.0)


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


@settings(deadline=None, max_examples=8)
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
    }
    chosen = data.draw(st.lists(st.sampled_from(sorted(domains)), unique=True, min_size=1))
    searched = SearchSpace(
        {"image": (1, 8, 8), "width": 0.25} if "width" not in chosen else {"image": (1, 8, 8)},
        {name: data.draw(domains[name]) for name in chosen},
    )
    everything = [ir.cost(searched.candidate(point)) for point in searched.grid()]
    corners = [ir.cost(candidate) for candidate in searched.corners()]
    for name in ("ops", "flops", "bops", "memory_bytes"):
        least = min(getattr(price, name) for price in everything)
        assert min(getattr(price, name) for price in corners) == least
