"""Which spaces a supernet can share, and the largest and the smallest network of one."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from ir2search.errors import CandidateError, SpaceError
from ir2search.space import Candidate, SearchSpace
from ir2search.space.domains import ends, values_of
from ir2search.space.rules import DEFAULT_FUSION_RATIO
from ir2search.space.search_space import field_of, shown

BACKBONES = ("cifar-resnet", "cifar-basic-resnet", "cifar-vgg", "imagenet-resnet")
# with a convolution in the shortcut of the first stage for some widths of the stem only
WITH_CONVOLVED_SHORTCUTS = ("cifar-basic-resnet", "imagenet-resnet")
# fields in which the networks of one supernet can differ
SHARED = (
    "depth", "width", "taps", "fusion", "fusion_channels", "fusion_ratio", "threshold",
    "stem_width", "stem_kernel", "stem_stride", "widths", "kernels",
)  # fmt: skip
SMALLER_IS_LARGER = ("fusion_ratio", "stem_stride")  # the network is larger with a smaller value
FUSIONS = ("none", "compact", "dense")  # from the smallest network to the largest


@dataclass(frozen=True)
class Extremes:
    """The two ends of a space, and how wide its fusions are.

    Attributes:
        largest: the candidate with the largest value of each parameter.
        smallest: the candidate with the smallest value of each parameter.
        primary: largest number of outputs of the fusion's first convolution.
        compact: largest number of these in a compact fusion; 0 if the space has none.
        copies: largest number of channels that a compact fusion makes of each of these.
        group_size: input channels in each group of the cheap convolution.
    """

    largest: Candidate
    smallest: Candidate
    primary: int
    compact: int
    copies: int
    group_size: int

    @property
    def cheap(self) -> int:
        """Outputs of the shared cheap convolution."""
        return self.compact * self.copies


def extremes_of(space: SearchSpace) -> Extremes:
    """The ends of a space.

    Raises:
        SpaceError: the networks of the space cannot share their weights.
    """
    check_shareable(space)
    largest, smallest = (_end(space, is_largest) for is_largest in (True, False))
    n, kinds = largest.channels[-1], _values(space, "fusion", "compact")
    group = int(_values(space, "fusion_group_size", 1)[0])
    widths, copies = _compact_widths(space, n)
    compact = 0
    if "compact" in kinds and largest.taps and n > 1:
        compact = math.ceil(min(n - 1, max(widths)) / group) * group
    # a compact fusion that would be as wide as the last maps is a dense one
    is_dense = "dense" in kinds or max(widths) >= smallest.channels[-1]
    primary = n if is_dense else compact
    return Extremes(largest, smallest, primary, compact, copies if compact else 0, group)


def check_shareable(space: SearchSpace) -> None:
    """Check that the networks of a space can share their weights.

    Raises:
        SpaceError: they differ where weights cannot be shared; the message names the parameter.
    """
    backbone = space.fixed.get("backbone", "cifar-resnet")
    for name, domain in space.searched.items():
        if field_of(name) not in SHARED and len(set(ends(domain))) > 1:
            raise SpaceError(
                f"{shown(name)}: the networks of a supernet share their weights and must not "
                "differ here; give one value, or leave [supernet] out"
            )
    if backbone not in BACKBONES:
        raise SpaceError(
            f"backbone: a supernet can share the weights of {', '.join(BACKBONES)}, but got "
            f"{backbone!r}; leave [supernet] out"
        )
    grouped = (name for name in (*space.fixed, *space.searched) if field_of(name) == "groups")
    if any(value != 1 for name in grouped for value in _values(space, name, 1)):
        raise SpaceError("groups: a supernet needs convolutions without groups; leave them out")
    kernels = _values(space, "stem_kernel", None)
    if len(kernels) > 1 and any(not each % 2 for each in kernels):
        raise SpaceError(
            "stem_kernel: a supernet shares the stems with odd kernels, which have one centre; "
            "leave the even ones out"
        )
    if backbone in WITH_CONVOLVED_SHORTCUTS and len(_values(space, "stem_width", 1.0)) > 1:
        raise SpaceError(
            f"stem_width: {backbone} has a convolution in its first shortcut for some of these "
            "values only; a supernet needs one value"
        )
    if backbone == "cifar-vgg" and len(_values(space, "stem_stride", 1)) > 1:
        raise SpaceError(
            "stem_stride: the last layer of cifar-vgg depends on it; a supernet needs one value"
        )


def _end(space: SearchSpace, is_largest: bool) -> Candidate:
    """The largest or the smallest candidate."""
    point: dict[str, Any] = {}
    for name, domain in space.searched.items():
        field, values = field_of(name), ends(domain)
        if field == "fusion":
            point[name] = sorted(values, key=lambda kind: FUSIONS.index(str(kind)))[-is_largest]
        else:
            numbers = sorted(value for value in values if not isinstance(value, str))
            point[name] = numbers[-1 if is_largest == (field not in SMALLER_IS_LARGER) else 0]
    try:
        return space.candidate(point)
    except CandidateError as error:
        which = "largest" if is_largest else "smallest"
        raise SpaceError(
            f"the {which} value of each parameter gives no network ({error}), and a supernet "
            "needs that one; change [space]"
        ) from None


def _compact_widths(space: SearchSpace, n: int) -> tuple[list[int], int]:
    """Ends of the widths of compact fusions for n last channels, and copies of each channel."""
    channels = _values(space, "fusion_channels", None)
    if channels != [None]:
        return [min(channels), max(channels)], math.ceil(n / min(channels)) - 1
    ratios = _values(space, "fusion_ratio", DEFAULT_FUSION_RATIO)
    widths = [math.ceil(n / ratio) for ratio in (max(ratios), min(ratios))]
    return widths, math.ceil(max(ratios)) - 1


def _values(space: SearchSpace, name: str, default: Any) -> list[Any]:
    """The values of a parameter that the space has; its ends if they are a range."""
    if name in space.searched:
        domain = space.searched[name]
        return list(dict.fromkeys([*ends(domain), *(values_of(domain) or ())]))
    return [space.fixed.get(name, default)]
