"""Families of networks by name."""

from __future__ import annotations

import functools
from collections.abc import Callable

from ir2search.extensions import Registry, foreign
from ir2search.models.check import check_family
from ir2search.models.families import FAMILIES, Family
from ir2search.models.network import Plan, TappedNetwork
from ir2search.models.resnet import cifar_basic_resnet, cifar_resnet, imagenet_resnet
from ir2search.models.vgg import cifar_vgg

Builder = Callable[[Plan], TappedNetwork]

BUILDERS: Registry[Builder] = Registry(
    "backbone",
    {
        "cifar-resnet": cifar_resnet,
        "cifar-basic-resnet": cifar_basic_resnet,
        "cifar-vgg": cifar_vgg,
        "imagenet-resnet": imagenet_resnet,
    },
)


def register_backbone(name: str, family: Family) -> Callable[[Builder], Builder]:
    """Make a family of networks searchable: ``backbone = name`` in a study's space.

    Decorates a function that builds one of them, from a `Plan` to a `TappedNetwork` whose layers
    before the last are named as the family's taps. Costs, training, recovery, restriction and the
    analysis then work on it as on any other.

    Args:
        name: of the family.
        family: its taps, widths and depths.

    Raises:
        StudyError: the name is taken, or the family contradicts itself.
    """
    check_family(name, family)

    def register(builder: Builder) -> Builder:
        @functools.wraps(builder)
        def build(plan: Plan) -> TappedNetwork:
            with foreign(f"backbone {name!r}"):
                return builder(plan)

        FAMILIES.register(name, family)
        BUILDERS.register(name, build)
        return builder

    return register
