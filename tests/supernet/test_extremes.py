import random

import pytest

import ir2search as ir
from ir2search.errors import CandidateError, SpaceError
from ir2search.supernet import Supernet
from ir2search.supernet.extremes import extremes_of

CHOICES = {"width": ir.Choice((0.25, 0.5)), "tap_stem": ir.Choice((True, False))}


def space(fixed: dict[str, object], **searched: ir.Choice | ir.Range) -> ir.SearchSpace:
    domains = {name.replace("__", "_"): domain for name, domain in searched.items()}
    return ir.SearchSpace(fixed, {**CHOICES, **domains}).with_data((3, 16, 16), 10)


@pytest.mark.parametrize(
    ("fixed", "searched", "message"),
    [
        ({}, {"estimator": ir.Choice(("polynomial", "tanh"))}, "estimator: the networks of a"),
        ({}, {"activation": ir.Choice(("prelu", "hardtanh"))}, "activation: the networks of a"),
        ({}, {"recipe_lr": ir.Range(0.1, 0.2)}, r"recipe\.lr: the networks of a supernet"),
        ({}, {"groups_stage1": ir.Choice((1, 2))}, r"groups\.stage1: the networks of a"),
        ({}, {"binary_stage3": ir.Choice((True, False))}, r"binary\.stage3: the networks of a"),
        ({"groups_stage1": 2}, {}, "groups: a supernet needs convolutions without groups"),
        ({}, {"stem_kernel": ir.Choice((1, 2))}, "stem_kernel: a supernet shares the stems with"),
        (
            {"backbone": "cifar-basic-resnet"},
            {"stem_width": ir.Choice((0.5, 1.0))},
            "stem_width: cifar-basic-resnet has a convolution",
        ),
        (
            {"fusion_group_size": 16},
            {"fusion_ratio": ir.Choice((4.5, 5.5))},
            "the largest value of each parameter gives no network",
        ),
    ],
)
def test_a_space_that_cannot_be_shared_is_refused(
    fixed: dict[str, object], searched: dict[str, ir.Choice | ir.Range], message: str
) -> None:
    with pytest.raises(SpaceError, match=message):
        extremes_of(space(fixed, **searched))


def test_the_ends_have_the_most_and_the_fewest_operations() -> None:
    found = space(
        {},
        depth=ir.Choice((8, 14)),
        fusion=ir.Choice(("compact", "dense")),
        fusion_ratio=ir.Range(2, 8),
        stem_stride=ir.Choice((1, 2)),
    )
    ends = extremes_of(found)
    drawn = [found.candidate(point) for point in found.points(random.Random(0), 30)]
    costs = {each: ir.cost(each).ops for each in (*drawn, ends.largest, ends.smallest)}
    assert costs[ends.largest] == max(costs.values())
    assert costs[ends.smallest] == min(costs.values())


def test_every_network_of_a_space_is_in_its_supernet() -> None:
    """Built without an error, with the same parameters as an ordinary network."""
    found = space(
        {"activation": "rprelu", "shift": True, "stem": "thermometer"},
        depth=ir.Choice((8, 14)),
        fusion=ir.Choice(("compact", "dense", "none")),
        fusion_channels=ir.Choice((3, 8, 20)),
        stem_width=ir.Choice((0.5, 2)),
        stem_kernel=ir.Choice((1, 3, 5)),
        kernels_stage2=ir.Choice((1, 3)),
        widths_stage2=ir.Choice((0.25, 1.5)),
    )
    supernet = Supernet(found)
    for number, point in enumerate(found.grid()):
        if number % 101 == 0:
            candidate = found.candidate(point)
            network = supernet.subnet(candidate)
            shapes = [each.shape for each in network.parameters()]
            assert shapes == [each.shape for each in ir.build(candidate).parameters()]


def test_a_network_outside_of_the_space_is_refused() -> None:
    supernet = Supernet(space({}))
    for wrong, message in (
        ({"depth": 26}, "the supernet has no weights for"),
        ({"width": 1.0}, "is larger than in the supernet"),
        ({"estimator": "tanh"}, "estimator: the supernet has 'polynomial'"),
    ):
        candidate = ir.Candidate(**{"depth": 8, "width": 0.5, "image": (3, 16, 16), **wrong})
        with pytest.raises(CandidateError, match=message):
            supernet.subnet(candidate)
