"""Whether a registered family builds what it says."""

from __future__ import annotations

import torch

from ir2search.errors import StudyError
from ir2search.models.families import Family
from ir2search.models.network import TappedNetwork


def check_network(name: str, family: Family, network: object, image: tuple[int, ...]) -> None:
    """Run a network of a registered family once.

    Args:
        name: of the family.
        family: what its networks are said to be.
        network: what its builder built.
        image: (channels, height, width) of an image.

    Raises:
        StudyError: it is no network of that family; the message says why.
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
    try:
        with torch.no_grad():
            taps, last = network.eval().feature_maps(torch.zeros(1, *image))
            network(torch.zeros(1, *image))
    except RuntimeError as error:
        reason = str(error).splitlines()[0]
        raise StudyError(
            f"backbone {name!r}: fails on an image of {tuple(image)}: {reason}"
        ) from None
    stem = next(iter(taps.values())).shape[1] // family.channel_factors[0]
    maps = [*taps.items(), ("the last", last)]
    for (tap, found), factor in zip(maps, family.channel_factors, strict=True):
        if found.ndim != 4 or found.shape[1] != stem * factor:
            raise StudyError(
                f"backbone {name!r}: maps of {tap} must have {stem * factor} channels by "
                f"channel_factors, but have shape {tuple(found.shape)}"
            )
