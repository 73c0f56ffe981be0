"""Measures of attribution maps, each a small function with its formula."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional


def distribution(maps: Tensor) -> Tensor:
    """Maps (N, h, w), at least 0, as distributions over positions: p = a / sum(a), (N, h, w).

    A map of zeros becomes the uniform distribution.
    """
    flat = maps.flatten(1)
    peak = flat.amax(dim=1, keepdim=True)
    relative = torch.where(peak > 0, flat / peak, torch.ones_like(flat))
    return (relative / relative.sum(dim=1, keepdim=True)).view_as(maps)


def entropy_bits(maps: Tensor) -> Tensor:
    """Shannon entropy of each map's distribution, H = -sum p log2 p; (N, h, w) to (N,).

    From 0 (all at one position) to log2(h w) bits (everywhere alike). Source: Shannon, "A
    Mathematical Theory of Communication", 1948, section 6.
    """
    p = distribution(maps)
    return -torch.special.xlogy(p, p).sum(dim=(1, 2)) / torch.log(torch.tensor(2.0))


def kept_share(before: Tensor, after: Tensor) -> Tensor:
    """Share of the attribution before a layer that it still attributes at the same places.

    sum over positions of min(p_before, p_after), in [0, 1]: the histogram intersection of Swain
    and Ballard, "Color Indexing", IJCV 1991, eq. 1. The maps, (N, h, w) and (N, h', w'), are
    compared at the finer size of the two.

    Returns:
        (N,) float.
    """
    fine = before if before.shape[-1] >= after.shape[-1] else after
    size = (fine.shape[-2], fine.shape[-1])
    p, q = (distribution(_resized(maps, size)) for maps in (before, after))
    return torch.minimum(p, q).sum(dim=(1, 2))


def cosine(one: Tensor, other: Tensor) -> Tensor:
    """Cosine of the angle between two maps, (N, h, w) each; (N,) in [0, 1] for maps >= 0."""
    return functional.cosine_similarity(one.flatten(1), other.flatten(1), dim=1)


def completeness_gap(total: Tensor, change: Tensor) -> float:
    """How far attributions are from the logits' change: mean |total - change| / mean |change|.

    0 where every path is smooth (completeness axiom: Sundararajan et al., ICML 2017, section 3).

    Args:
        total: (N,) sums of attributions.
        change: (N,) f(x) - f(baseline).
    """
    return float((total - change).abs().mean() / change.abs().mean().clamp_min(1e-12))


def _resized(maps: Tensor, size: tuple[int, int]) -> Tensor:
    return functional.interpolate(maps.unsqueeze(1), size, mode="nearest-exact").squeeze(1)
