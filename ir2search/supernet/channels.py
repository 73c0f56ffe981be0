"""Which channels of the shared weights a network of the space takes.

A layer of a narrow network takes some channels of the same layer of the largest network. Without a
shortcut any channels could be taken; these are the first. A shortcut without parameters moves
channel i of its input to a certain place of its output (see `ir2search.nn.shortcut.subsampled`).
This place differs between the narrow and the largest network. This module matches the places, so
that each channel has the same inputs in all networks.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ir2search.errors import CandidateError
from ir2search.models.families import FAMILIES
from ir2search.space import Candidate
from ir2search.supernet.extremes import Extremes

PLAIN_SHORTCUTS = ("cifar-resnet",)  # families whose units have a shortcut without parameters


@dataclass(frozen=True)
class FusionChannels:
    """The channels of the shared fusion that a network takes; each an int64 tensor.

    The shared fusion has the taps that any network has, and then the last maps, as its inputs. Its
    outputs, which are the inputs of the shared head, are in three parts: those of the first
    convolution; those of the cheap one; and the last maps themselves, for networks without taps.

    Attributes:
        inputs: of the first convolution.
        primary: outputs of the first convolution.
        cheap: outputs of the cheap convolution.
        head: inputs of the head.
    """

    inputs: Tensor
    primary: Tensor
    cheap: Tensor
    head: Tensor


def layer_channels(largest: Candidate, small: Candidate) -> dict[str, Tensor]:
    """For each layer of a network, the channels of the same layer of the largest, int64.

    The result is by name of the layer: the stem, then the stages.

    Raises:
        CandidateError: a layer of the network is wider than in the largest.
    """
    names = layer_names(largest)
    for name, own, most in zip(names, small.channels, largest.channels, strict=True):
        if own > most:
            raise CandidateError(f"{name} of this network is larger than in the supernet")
    found = {names[0]: torch.arange(small.channels[0])}
    before = names[0]
    for index, name in enumerate(names[1:], 1):
        count, wide = small.channels[index], largest.channels
        if largest.backbone in PLAIN_SHORTCUTS:
            found[name] = _past_shortcut(found[before], wide[index - 1], wide[index], count)
        else:
            found[name] = torch.arange(count)
        before = name
    return found


def layer_names(candidate: Candidate) -> tuple[str, ...]:
    """Names of the stem and of the layers after it."""
    family = FAMILIES[candidate.backbone]
    return family.taps[:1] + family.stages


def fusion_channels(
    extremes: Extremes, small: Candidate, layers: dict[str, Tensor]
) -> FusionChannels:
    """The channels of the fusion and of the head; ``layers`` is from `layer_channels`."""
    largest, nothing = extremes.largest, torch.arange(0)
    last = layers[layer_names(largest)[-1]]
    if not small.taps:
        unfused = extremes.primary + extremes.cheap + last
        return FusionChannels(nothing, nothing, nothing, unfused)
    counts = dict(zip(layers, largest.channels, strict=True))
    offset, inputs = 0, list[Tensor]()
    for tap in largest.taps:
        if tap in small.taps:
            inputs.append(offset + layers[tap])
        offset += counts[tap]
    inputs.append(offset + last)
    n = small.channels[-1]
    primary = torch.arange(n if small.fusion_channels is None else small.fusion_channels)
    cheap = nothing
    if small.fusion_channels is not None:
        cheap = _cheap(small, extremes.copies)
    head = torch.cat([primary, extremes.primary + cheap])[:n]
    return FusionChannels(torch.cat(inputs), primary, cheap, head)


def head_channels(extremes: Extremes) -> int:
    """Inputs of the shared head, see `FusionChannels`."""
    return extremes.primary + extremes.cheap + extremes.largest.channels[-1]


def _cheap(small: Candidate, copies: int) -> Tensor:
    """Outputs of the cheap convolution: the first of each group."""
    assert small.fusion_channels is not None
    size = small.fusion_group_size
    own = -(-small.channels[-1] // small.fusion_channels) - 1  # s - 1
    groups = torch.arange(small.fusion_channels // size)
    return (groups[:, None] * size * copies + torch.arange(size * own)).flatten()


def _past_shortcut(before: Tensor, wide_inputs: int, wide: int, count: int) -> Tensor:
    """Channels of a layer after a shortcut without parameters.

    Args:
        before: the channels of the layer before.
        wide_inputs: all channels of the layer before in the largest network.
        wide: all channels of this layer in the largest network.
        count: number of channels to take.
    """
    wide_start, start = max(0, wide - wide_inputs) // 2, max(0, count - len(before)) // 2
    carried = {wide_start + channel for channel in range(min(wide, wide_inputs))}
    taken: dict[int, int] = {}  # place in the narrow layer -> channel
    for index, channel in enumerate(before.tolist()):
        if wide_start + channel in carried and start + index < count:
            taken[start + index] = wide_start + channel
    # first those that no shortcut reaches in the largest network
    rest = [*(c for c in range(wide) if c not in carried), *sorted(carried)]
    used = set(taken.values())
    free = iter(channel for channel in rest if channel not in used)
    return torch.tensor([taken[i] if i in taken else next(free) for i in range(count)])
