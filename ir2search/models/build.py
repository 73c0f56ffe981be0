"""The functions that build networks, by the name of their family."""

from __future__ import annotations

import functools
from collections.abc import Callable

from ir2search.models.check import check_family
from ir2search.models.families import FAMILIES, Family
from ir2search.models.network import NetworkSpec, TappedNetwork
from ir2search.models.resnet import cifar_basic_resnet, cifar_resnet, imagenet_resnet
from ir2search.models.vgg import cifar_vgg
from ir2search.registry import Registry, user_code

Builder = Callable[[NetworkSpec], TappedNetwork]

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
    """Register a family of networks, so that a study's space can set ``backbone = name``.

    The decorated function takes a `NetworkSpec` and returns a `TappedNetwork`. All layers of the
    network but the last must have the names of the family's taps.

    Args:
        name: name of the family.
        family: its taps, widths and depths.

    Raises:
        StudyError: the name is taken, or two values of the family contradict each other.
    """
    check_family(name, family)

    def register(builder: Builder) -> Builder:
        @functools.wraps(builder)
        def build(spec: NetworkSpec) -> TappedNetwork:
            with user_code(f"backbone {name!r}"):
                return builder(spec)

        FAMILIES.register(name, family)
        BUILDERS.register(name, build)
        return builder

    return register
