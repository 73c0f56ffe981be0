"""From a candidate to its network."""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING, Literal

from ir2search.errors import CandidateError
from ir2search.models.families import FAMILIES
from ir2search.space.candidate import Candidate

if TYPE_CHECKING:
    from ir2search.models.network import TappedNetwork


def build(candidate: Candidate) -> TappedNetwork:
    """Build the candidate's network, initialised from torch's global random state.

    Its ``forward`` maps normalised images (N, C, H, W) to logits (N, classes); its
    ``forward_features`` returns the last feature maps before fusion, (N, n, h, w).
    """
    from ir2search.models.build import BUILDERS
    from ir2search.models.network import NetworkSpec
    from ir2search.nn import Binarisation, InformationRecovery, make_activation

    family = FAMILIES[candidate.backbone]
    channels = dict(zip(family.taps, candidate.channels, strict=False))
    recovery = InformationRecovery(
        [channels[name] for name in candidate.taps],
        candidate.channels[-1],
        channels=candidate.fusion_channels,
        group_size=candidate.fusion_group_size,
        activation=lambda channels: make_activation(candidate.activation, channels),
    )
    options = {field.name: getattr(candidate, field.name) for field in fields(Binarisation)}
    spec = NetworkSpec(
        depth=candidate.depth,
        stem=candidate.stem_shape,
        stages=candidate.stages,
        image=candidate.image,
        classes=candidate.classes,
        taps=candidate.taps,
        recovery=recovery,
        binarisation=Binarisation(**options),
        activation=candidate.activation,
    )
    network = BUILDERS[candidate.backbone](spec)
    for name in candidate.int8_layers:
        _release(network, name, "int8")
    for name in candidate.real_layers:
        _release(network, name, "real")
    return network


def _release(network: TappedNetwork, name: str, precision: Literal["int8", "real"]) -> None:
    """Set the precision of all convolutions of a layer or stage."""
    from ir2search.nn import BinaryConv2d

    try:
        modules = network.get_submodule(name).modules()
    except AttributeError:
        raise CandidateError(
            f"{precision}_layers: the network has no layer {name!r}; give its layers the names of "
            "the family's stages"
        ) from None
    for module in modules:
        if isinstance(module, BinaryConv2d):
            module.release(precision)
