"""Passes of images through a network, within a limit of memory and without changing it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from ir2search.information.chain import Chain
from ir2search.models.network import TappedNetwork
from ir2search.nn import kernels_without_gradients

Part = TypeVar("Part", bound=Any)  # a dataclass with tensors
MEMORY = 2048  # MiB for activations and gradients
_COPIES = 18  # a pass holds up to 18 copies of an image's maps: DeepLIFT, with baselines
_COPIES_WITHOUT_GRADIENTS = 3  # the maps, and those of an operation


@torch.no_grad()
def layer_maps(
    network: TappedNetwork,
    batches: Iterable[Tensor],
    layers: Iterable[str],
    keep: Callable[[Tensor], Tensor] = lambda maps: maps,
) -> dict[str, Tensor]:
    """The maps of layers, (N, c, h, w), by name, for batches of normalised images (n, C, H, W).

    ``keep`` converts a layer's maps of one batch, (n, c, h, w), to what is returned instead.
    """
    chain, layers, parts = Chain(network), list(layers), []
    with frozen(network), kernels_without_gradients():
        for images in batches:
            maps, _ = chain.maps(images)
            parts.append({name: keep(maps[name]) for name in layers})
    return {name: torch.cat([part[name] for part in parts]) for name in layers}


@torch.no_grad()
def map_sizes(network: TappedNetwork, image: Sequence[int]) -> dict[str, int]:
    """Bytes of the maps of every layer and tap, for one image of (channels, height, width)."""
    device = next(network.parameters()).device
    with frozen(network):
        maps, _ = Chain(network).maps(torch.zeros(1, *image, device=device))
    return {name: values.nbytes for name, values in maps.items()}


def images_at_once(
    network: TappedNetwork, image: Sequence[int], memory: int, *, gradients: bool = True
) -> int:
    """Largest number of images in a pass within a limit of memory, at least 1.

    Args:
        network: the network.
        image: (channels, height, width).
        memory: the limit in MiB.
        gradients: whether the pass computes gradients.
    """
    copies = _COPIES if gradients else _COPIES_WITHOUT_GRADIENTS
    return max(1, memory * 2**20 // (copies * sum(map_sizes(network, image).values())))


@contextmanager
def frozen(network: nn.Module) -> Iterator[None]:
    """Set evaluation mode and switch off gradients of parameters; restore both afterwards."""
    training = network.training
    wanted = [parameter for parameter in network.parameters() if parameter.requires_grad]
    network.eval()
    for parameter in wanted:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in wanted:
            parameter.requires_grad_(True)
        network.train(training)


def joined(parts: Sequence[Part]) -> Part:
    """Join a dataclass of several batches: concatenate its tensors."""
    tensors = {name for name, value in vars(parts[0]).items() if isinstance(value, Tensor)}
    return replace(
        parts[0], **{name: torch.cat([getattr(part, name) for part in parts]) for name in tensors}
    )
