"""Checks of a registered family and of the networks that it builds."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from ir2search.errors import StudyError
from ir2search.models.families import Family
from ir2search.models.network import TappedNetwork
from ir2search.registry import user_code


def check_family(name: str, family: Family) -> None:
    """Check the values of a family before it is registered.

    Raises:
        StudyError: two values contradict each other; the message gives the rule.
    """
    taps, factors = family.taps, family.channel_factors
    with user_code(f"has_depth of backbone {name!r}"):
        has_default_depth = family.has_depth(family.depth)
    rules = [
        (len(taps) > 0 and len(set(taps)) == len(taps), "taps: must be one or more names", taps),
        (
            len(factors) == len(taps) + 1 and min(factors) >= 1,
            f"channel_factors: must be {len(taps) + 1} whole numbers, one for each tap and one for "
            "the last maps",
            factors,
        ),
        (
            not family.stages
            or (family.stages[:-1] == taps[1:] and len(family.stages) == len(taps)),
            "stages: must be empty, or the taps without the first and the name of the last layer",
            family.stages,
        ),
        (family.base_width >= 1, "base_width: must be at least 1", family.base_width),
        (family.min_side >= 1, "min_side: must be at least 1", family.min_side),
        (has_default_depth, "depth: must be one for which has_depth is true", family.depth),
    ]
    for holds, rule, value in rules:
        if not holds:
            raise StudyError(f"backbone {name!r}: {rule}, but got {value}")


def check_network(
    name: str,
    family: Family,
    network: object,
    channels: Sequence[int],
    image: tuple[int, ...],
    classes: int,
) -> None:
    """Run a network of a registered family once, and compare it with the family.

    Args:
        name: name of the family.
        family: the description that the network must match.
        network: what the family's builder returned.
        channels: expected channels of each tap and of the last maps.
        image: (channels, height, width) of an image.
        classes: expected number of classes.

    Raises:
        StudyError: the network differs from the family; the message says how.
    """
    if not isinstance(network, TappedNetwork):
        kind = type(network).__name__
        raise StudyError(f"backbone {name!r}: must build a TappedNetwork, but built {kind}")
    named = network.layer_names[:-1]
    if named != family.taps:
        raise StudyError(
            f"backbone {name!r}: its layers before the last must be named as its taps, "
            f"{', '.join(family.taps)}, but are {', '.join(named) or 'none'}"
        )
    where = f"backbone {name!r} on an image of {tuple(image)}"
    with user_code(where), torch.no_grad():
        taps, last = network.eval().feature_maps(torch.zeros(2, *image))
    for (tap, maps), count in zip([*taps.items(), ("the last", last)], channels, strict=True):
        if maps.ndim != 4 or maps.shape[1] != count:
            raise StudyError(
                f"backbone {name!r}: maps of {tap} must have {count} channels by "
                f"channel_factors, but have shape {tuple(maps.shape)}"
            )
    with user_code(where), torch.no_grad():
        logits = network(torch.zeros(2, *image))
    if tuple(logits.shape) != (2, classes):
        raise StudyError(
            f"backbone {name!r}: must give (N, {classes}) logits, but gave {tuple(logits.shape)} "
            "for 2 images"
        )
