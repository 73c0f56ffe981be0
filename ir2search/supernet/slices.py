"""Where each weight of a network is in the shared weights."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from ir2search.errors import CandidateError
from ir2search.space import Candidate
from ir2search.supernet.channels import (
    FusionChannels,
    fusion_channels,
    layer_channels,
    layer_names,
)
from ir2search.supernet.extremes import Extremes

Indices = tuple[Tensor, ...]  # one int64 tensor for each dimension of a parameter
Ends = tuple[Tensor, Tensor | None]  # outputs and inputs of a layer; None for all inputs

# parts of a layer's first block that read the layer before
READS_BEFORE = ("conv.", "conv1.", "shortcut.")


def slices(
    extremes: Extremes, small: Candidate, network: nn.Module, shared: Mapping[str, torch.Size]
) -> dict[str, Indices]:
    """For each parameter of a network, its indices in the shared parameter of the same name.

    The network's value at (i, j, ...) is the shared one at (first[i], second[j], ...).

    Args:
        extremes: of the space.
        small: the network's description.
        network: the network.
        shared: shapes of the shared parameters by name.

    Raises:
        CandidateError: the network has a parameter that is not shared.
    """
    layers = layer_channels(extremes.largest, small)
    names = layer_names(small)
    before = dict(zip(names[1:], names, strict=False))
    fusion = fusion_channels(extremes, small, layers)
    found: dict[str, Indices] = {}
    ends: Ends
    for name, parameter in network.named_parameters():
        layer, _, inner = name.partition(".")
        if layer == "recovery":
            ends = _fusion_ends(inner, fusion)
        elif layer == "head":
            ends = torch.arange(small.classes), fusion.head
        else:
            inputs = layers[before[layer] if _reads_before(inner) else layer]
            ends = layers[layer], None if layer == names[0] else inputs
        shape = shared.get(name)
        if shape is None:
            raise CandidateError(f"the supernet has no weights for {name} of this network")
        found[name] = _indices(name, parameter, shape, ends)
        for chosen, size in zip(found[name], shape, strict=True):
            if len(chosen) and int(chosen.max()) >= size:
                raise CandidateError(f"{name} of this network is larger than in the supernet")
    return found


def positions(found: Mapping[str, Indices], shared: Mapping[str, torch.Size]) -> Tensor:
    """The place of each number of a network in the vector of all shared parameters.

    Args:
        found: from `slices`, in the order of the network's parameters.
        shared: shapes of the shared parameters by name, in their order in the vector.

    Returns:
        (number of the network's parameters) int64.
    """
    sizes = [shape.numel() for shape in shared.values()]
    every = dict(zip(shared, torch.arange(sum(sizes)).split(sizes), strict=True))
    parts = []
    for name, indices in found.items():
        places = every[name].view(shared[name])
        for axis, chosen in enumerate(indices):
            places = places.index_select(axis, chosen)
        parts.append(places.flatten())
    return torch.cat(parts)


def _fusion_ends(inner: str, fusion: FusionChannels) -> Ends:
    """Outputs and inputs of a layer of the fusion."""
    if inner.startswith("primary."):
        return fusion.primary, fusion.inputs
    return fusion.cheap, None  # each group has its own inputs


def _reads_before(inner: str) -> bool:
    """Whether a part of a layer reads the maps of the layer before, as ``0.conv.weight`` does."""
    block, _, rest = inner.partition(".")
    if block.isdigit():
        return block == "0" and rest.startswith(READS_BEFORE)
    return inner.startswith(READS_BEFORE)


def _indices(name: str, parameter: Tensor, shared: torch.Size, ends: Ends) -> Indices:
    """The indices of a parameter in each dimension."""
    shape, (outputs, inputs) = parameter.shape, ends
    if name == "head.linear.weight":
        assert inputs is not None
        each = torch.arange(shape[1] // len(inputs))  # positions of the last maps
        return outputs, (inputs[:, None] * len(each) + each).flatten()
    if len(shape) == 4:
        second = torch.arange(shape[1]) if inputs is None else inputs
        kernel = zip(shape[2:], shared[2:], strict=True)
        return outputs, second, *(_centre(*sides) for sides in kernel)
    of_inputs = name.endswith(".threshold") or name.startswith("head.bn.")
    first = torch.arange(shape[0]) if inputs is None else inputs
    return first if of_inputs else outputs, *(torch.zeros(1, dtype=torch.int64) for _ in shape[1:])


def _centre(side: int, wide: int) -> Tensor:
    """The middle of a kernel's side."""
    return torch.arange(side) + (wide - side) // 2
