"""Interventions: the precision of one layer, of one stage or of all layers is changed.

A change names convolutions and a part: weights, activations or both. In the full-precision twin the
part is binarised as in the binary network; in the binary network it is released, that is, latent
weights and inputs take the place of their signs.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Literal, get_args

from torch import nn

from ir2search.information.chain import Chain
from ir2search.measures.names import WHOLE
from ir2search.models.network import TappedNetwork
from ir2search.nn import Binarisation, BinaryConv2d
from ir2search.nn.estimators import standardised

Part = Literal["weights", "activations", "both"]
PARTS: tuple[Part, ...] = get_args(Part)


@dataclass(frozen=True)
class Change:
    """A change of precision.

    Attributes:
        layer: name of the layer or stage, or ``"network"`` for all layers.
        part: what changes.
        convolutions: names of the convolutions that change, in order of depth.
        first: name of the first unit of the network that changes.
    """

    layer: str
    part: Part
    convolutions: tuple[str, ...]
    first: str


def binarised_layers(network: TappedNetwork) -> dict[str, Binarisation]:
    """How each convolution is binarised, by its name; without those in full precision."""
    return {
        name: module.binarisation
        for name, module in network.named_modules()
        if isinstance(module, BinaryConv2d) and _parts(module.binarisation)
    }


def changes(network: TappedNetwork, layers: Mapping[str, Binarisation]) -> list[Change]:
    """Every layer, then every stage of several layers, then the network, each for each part.

    A layer is named after its unit if it is the unit's only convolution. Layers that the network
    does not have as a `BinaryConv2d` are left out: a full-precision stem cannot be binarised.

    Args:
        network: the network to change.
        layers: how each convolution is binarised, see `binarised_layers`.
    """
    units = list(Chain(network).units)
    modules = dict(network.named_modules())
    names = [name for name in layers if isinstance(modules.get(name), BinaryConv2d)]
    by_unit = {unit: [name for name in names if name.startswith(f"{unit}.")] for unit in units}
    groups = {unit: own for unit, own in by_unit.items() if len(own) == 1}
    groups |= {name: [name] for own in by_unit.values() if len(own) > 1 for name in own}
    groups = dict(sorted(groups.items(), key=lambda group: names.index(group[1][0])))
    for stage in network.layer_names:
        within = [name for name in names if name.startswith(f"{stage}.")]
        if len(within) > 1:
            groups[stage] = within
    if len(names) > 1:
        groups[WHOLE] = names
    return [
        Change(layer, part, tuple(own), _unit_of(own[0], units))
        for layer, own in groups.items()
        for part in _common_parts([layers[name] for name in own])
    ]


@contextmanager
def binarised(
    network: TappedNetwork, change: Change, layers: Mapping[str, Binarisation]
) -> Iterator[None]:
    """Binarise a part of a full-precision network inside this context, as ``layers`` says."""
    wanted = {}
    for name in change.convolutions:
        own, other = _convolution(network, name).binarisation, layers[name]
        if change.part != "activations":
            own = replace(own, weights=other.weights, standardise=other.standardise)
        if change.part != "weights":
            own = replace(own, activations=other.activations)
        wanted[name] = own
    with _precisions(network, wanted):
        yield


@contextmanager
def released(network: TappedNetwork, change: Change) -> Iterator[None]:
    """Release a part of a binary network to full precision inside this context."""
    wanted: dict[str, Binarisation] = {}
    latent: dict[str, nn.Parameter] = {}
    for name in change.convolutions:
        module = _convolution(network, name)
        own = module.binarisation
        if change.part != "activations" and own.weights == "binary":
            if own.standardise:
                latent[name] = nn.Parameter(standardised(module.weight), requires_grad=False)
            own = replace(own, weights="real", standardise=False)
        if change.part != "weights":
            own = replace(own, activations="real")
        wanted[name] = own
    before = {name: _parameter(network, name) for name in latent}
    try:
        for name, weight in latent.items():
            _convolution(network, name).weight = weight
        with _precisions(network, wanted):
            yield
    finally:
        for name, weight in before.items():
            _convolution(network, name).weight = weight


@contextmanager
def _precisions(network: TappedNetwork, wanted: Mapping[str, Binarisation]) -> Iterator[None]:
    before = {name: _convolution(network, name).binarisation for name in wanted}
    try:
        for name, binarisation in wanted.items():
            _convolution(network, name).binarisation = binarisation
        yield
    finally:
        for name, binarisation in before.items():
            _convolution(network, name).binarisation = binarisation


def _parameter(network: TappedNetwork, name: str) -> nn.Parameter:
    weight = _convolution(network, name).weight
    assert isinstance(weight, nn.Parameter)
    return weight


def _convolution(network: TappedNetwork, name: str) -> BinaryConv2d:
    module = network.get_submodule(name)
    assert isinstance(module, BinaryConv2d)
    return module


def _common_parts(layers: list[Binarisation]) -> list[Part]:
    """The parts that at least one of the layers has; both only if there are two."""
    return [part for part in PARTS if any(part in _parts(each) for each in layers)]


def _parts(binarisation: Binarisation) -> list[Part]:
    """The parts that are not in full precision; both if two are."""
    found: list[Part] = []
    if binarisation.weights != "real":
        found.append("weights")
    if binarisation.activations != "real":
        found.append("activations")
    return [*found, "both"] if len(found) == 2 else found


def _unit_of(name: str, units: list[str]) -> str:
    return next(unit for unit in units if name.startswith(f"{unit}."))
