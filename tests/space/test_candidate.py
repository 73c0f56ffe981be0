from __future__ import annotations

import copy
import inspect
import json
import math
import pickle
from dataclasses import replace
from datetime import date
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from ir2search.errors import CandidateError
from ir2search.space import Candidate, build, candidate_from_dict

TAPS = ("stem", "stage1", "stage2")


FIELDS: dict[str, st.SearchStrategy[Any]] = {
    "depth": st.sampled_from([8, 14]),
    "width": st.floats(0.05, 0.6),
    "stem": st.sampled_from(["real", "real", "int8", "thermometer"]),
    "stem_levels": st.sampled_from([8, 3]),
    "stem_width": st.sampled_from([1.0, 1.0, 0.5, 2.0]),
    "stem_kernel": st.sampled_from([None, 3, 2, 1]),
    "stem_stride": st.sampled_from([None, 1, 2]),
    "kernels": st.sampled_from([(), (3, 1, 3), (1, 3, 5)]),
    "groups": st.sampled_from([(), (1, 2, 1)]),
    "widths": st.sampled_from([(), (1.0, 1.0, 1.0), (1.0, 0.6, 1.4)]),
    "taps": st.lists(st.sampled_from(TAPS), unique=True).map(tuple),
    "fusion": st.sampled_from(["none", "dense", "compact"]),
    "fusion_ratio": st.floats(1, 10),
    "fusion_group_size": st.sampled_from([1, 1, 2]),
    "threshold": st.sampled_from([0.0, 0.1, 0.1 + 1e-9, 0.15, 0.3, 0.1 + 0.2, 1.5]),
    "normalization": st.sampled_from(["map", "column"]),
    "weights": st.sampled_from(["binary", "real"]),
    "activations": st.sampled_from(["binary", "real"]),
    "int8_layers": st.sampled_from([(), (), ("stage2.0",)]),
    "real_layers": st.sampled_from([(), (), ("stage3",), ("stage1", "stage2.1")]),
    "image": st.sampled_from([(3, 32, 32), (1, 8, 8)]),
    "classes": st.integers(2, 11),
    "recipe": st.sampled_from([(), (("lr", 0.1), ("flip", True)), (("lr", 0.2),)]),
}


def made(values: dict[str, Any]) -> Candidate:
    try:
        return Candidate(**values)
    except CandidateError:
        assume(False)  # groups that do not divide the fusion width, kernels that miss pixels
        raise


def candidates() -> st.SearchStrategy[Candidate]:
    return st.fixed_dictionaries(FIELDS).map(made)


@st.composite
def neighbours(draw: st.DrawFn) -> tuple[Candidate, Candidate]:
    """Two candidates for which one field was given another value, which may have no effect."""
    values = draw(st.fixed_dictionaries(FIELDS))
    field = draw(st.sampled_from(list(FIELDS)))
    return made(values), made(values | {field: draw(FIELDS[field])})


def test_ids_are_the_same_on_every_machine() -> None:
    assert Candidate().id == "44136fa355b3"
    small = Candidate(depth=8, width=0.5, threshold=0.3, taps=("stage2",), fusion="dense")
    assert small.id == "06651172622b"
    assert Candidate().twin().id == "ff040fd73657"


def test_a_shape_that_is_the_backbones_default_is_no_part_of_the_canonical_form() -> None:
    shape = {
        "stem",
        "stem_levels",
        "stem_width",
        "stem_kernel",
        "stem_stride",
        "widths",
        "kernels",
        "groups",
    }
    assert not shape & set(Candidate().as_dict())
    own = Candidate(stem_kernel=1, widths=(1, 0.5, 1)).as_dict()
    assert {name: own[name] for name in shape & set(own)} == {
        "stem_kernel": 1,
        "widths": [1.0, 0.5, 1.0],
    }
    imagenet = Candidate(backbone="imagenet-resnet", depth=18, image=(3, 64, 64))
    assert (imagenet.stem_kernel, imagenet.stem_stride) == (7, 2)
    assert not shape & set(imagenet.as_dict())


@given(candidates())
def test_a_candidate_can_be_saved_as_json(candidate: Candidate) -> None:
    again = candidate_from_dict(json.loads(json.dumps(candidate.as_dict())))
    assert again == candidate
    assert again.id == candidate.id
    assert hash(again) == hash(candidate)


@given(candidates())
def test_a_candidate_is_the_default_plus_its_differences(candidate: Candidate) -> None:
    assert candidate_from_dict(Candidate().as_dict() | candidate.differences()) == candidate


@given(neighbours())
def test_ids_are_equal_when_candidates_are(pair: tuple[Candidate, Candidate]) -> None:
    one, other = pair
    assert (one.id == other.id) == (one == other)


@settings(max_examples=60, suppress_health_check=list(HealthCheck))
@given(neighbours())
def test_different_candidates_are_different_networks_or_trainings(
    pair: tuple[Candidate, Candidate],
) -> None:
    """Candidates that are not equal differ in shapes, precisions, images or training."""
    assume(pair[0] != pair[1])
    one, other = (
        (
            [(name, tuple(p.shape)) for name, p in build(each).named_parameters()],
            (each.weights, each.activations, each.stem, each.stem_stride, each.released),
            (each.threshold, each.normalization, each.recipe, each.image),
        )
        for each in pair
    )
    assert one != other


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
        ({"stem_width": 1.0, "stem_kernel": 3, "stem_stride": 1, "widths": (1.0,) * 3}, {}),
        ({"kernels": (3, 3, 3), "groups": (1, 1, 1)}, {}),
        ({"stem": "int8", "stem_levels": 3}, {"stem": "int8"}),
        ({"stem_width": 0.51, "widths": (1, 0.99, 1.001)}, {"stem_width": 0.5}),
        ({"real_layers": tuple(f"stage3.{i}" for i in range(6))}, {"real_layers": ("stage3",)}),
        ({"int8_layers": ("stage2.1", "stage1")}, {"int8_layers": ("stage1", "stage2.1")}),
        (
            {"real_layers": ("stage1", "stage2", "stage3"), "shift": True},
            {"weights": "real", "activations": "real"},
        ),
        (
            {"weights": "real", "activations": "real", "real_layers": ("stage1",)},
            {"weights": "real", "activations": "real"},
        ),
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
        ({"stem": "binary"}, "stem: must be one of real, int8, thermometer, but got binary"),
        ({"stem_levels": 65}, "stem_levels: must be from 1 to 64, but got 65"),
        ({"stem_width": 0.0}, "stem_width: must be above 0 and at most 8, but got 0.0"),
        ({"stem_kernel": 9}, "stem_kernel: must be from 1 to 7, but got 9"),
        ({"stem_kernel": 2}, "stem_kernel: must be odd or equal to the stride of 1, but got 2"),
        ({"stem_stride": 3}, "stem_stride: must be 1, 2 or 4, but got 3"),
        ({"stem_stride": 4, "image": (3, 8, 8)}, "image: .* at least 16 pixels a side, but got 8"),
        ({"widths": (1.0, 2.0)}, "widths: must be a number for each of stage1, stage2, stage3"),
        ({"widths": (2.0, 1.0, 1.0)}, "widths: the first must be 1; set width instead"),
        ({"kernels": (3, 3)}, "kernels: must be a number for each of stage1, stage2, stage3"),
        ({"kernels": (3, 2, 3)}, "kernels: each must be 1, 3 or 5, but got"),
        ({"groups": (1, 0, 1)}, "groups: each must be at least 1"),
        (
            {"groups": (1, 32, 1)},
            "must divide the 16 inputs and the 32 outputs of stage2, but got 32",
        ),
        ({"widths": (1.0, 9.0, 1.0)}, "widths: each must be above 0 and at most 8"),
        (
            {"real_layers": ("stage4",)},
            "real_layers: no layer 'stage4' in cifar-resnet of depth 20; did you mean 'stage",
        ),
        ({"depth": 8, "int8_layers": ("stage1.2",)}, "no layer 'stage1.2' in .* of depth 8"),
        (
            {"int8_layers": ("stage2",), "real_layers": ("stage2",)},
            "int8_layers, real_layers: both name stage2; leave one out",
        ),
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
        ({"widths": [date(1979, 5, 27)]}, "widths.0: must be a number, but got '1979-05-27'"),
        ({"depth": 9}, "x.json: depth: must be 6 n"),
    ],
)
def test_a_wrong_field_of_a_file_is_named_with_the_file(
    values: dict[str, Any], message: str
) -> None:
    with pytest.raises(CandidateError, match=message) as caught:
        candidate_from_dict(values, "x.json")
    assert str(caught.value).startswith("x.json: ")


def test_a_misspelled_field_names_the_nearest_one() -> None:
    with pytest.raises(TypeError, match="no field 'dept' in a candidate; did you mean 'depth'"):
        Candidate(dept=3)
    made = Candidate(fusion_ratio=4.0)
    assert pickle.loads(pickle.dumps(made)) == copy.deepcopy(made) == made
    assert "depth" in inspect.signature(Candidate).parameters, "a notebook completes it"


def test_twin_and_backbone_of_a_candidate() -> None:
    candidate = Candidate(threshold=0.4)
    mixed = replace(candidate, int8_layers=("stage1",), real_layers=("stage2.1",))
    assert mixed.twin() == candidate.twin()
    assert mixed.backbone_only().real_layers == ("stage2.1",)
    assert candidate.twin() == Candidate(threshold=0.4, weights="real", activations="real")
    for stem in ("int8", "thermometer"):
        assert replace(candidate, stem=stem).twin() == candidate.twin()
    assert candidate.backbone_only() == Candidate(fusion="none", threshold=0.0)
