"""Measures of attribution and attention maps, each a small function with its formula."""

from __future__ import annotations

import numpy as np
import pandas as pd
import torch
from torch import Tensor
from torch.nn import functional


def distribution(maps: Tensor) -> Tensor:
    """Distributions over positions, p = a / sum(a), of maps a >= 0; (N, h, w) to (N, h, w).

    A map of zeros becomes the uniform distribution.
    """
    flat = maps.flatten(1)
    peak = flat.amax(dim=1, keepdim=True)
    relative = torch.where(peak > 0, flat / peak, torch.ones_like(flat))
    return (relative / relative.sum(dim=1, keepdim=True)).view_as(maps)


def entropy_bits(maps: Tensor) -> Tensor:
    """Shannon entropy of each map's distribution, H = -sum p log2 p; (N, h, w) to (N,).

    From 0 (all at one position) to log2(h w) bits (uniform). Source: Shannon, "A
    Mathematical Theory of Communication", 1948, section 6.
    """
    p = distribution(maps)
    return -torch.special.xlogy(p, p).sum(dim=(1, 2)) / torch.log(torch.tensor(2.0))


def kept_share(before: Tensor, after: Tensor) -> Tensor:
    """Share of the attribution before a layer that is at the same positions after it.

    The sum over positions of min(p_before, p_after): the histogram intersection of Swain and
    Ballard, "Color Indexing", IJCV 1991, eq. 1. Maps of two sizes are compared at the larger one.

    Args:
        before: (N, h, w), at least 0.
        after: (N, h', w'), at least 0.

    Returns:
        (N,) float in [0, 1].
    """
    fine = before if before.shape[-1] >= after.shape[-1] else after
    size = (fine.shape[-2], fine.shape[-1])
    p, q = (distribution(_resized(maps, size)) for maps in (before, after))
    return torch.minimum(p, q).sum(dim=(1, 2))


def cosine(one: Tensor, other: Tensor) -> Tensor:
    """Cosine of the angle between two maps, (N, h, w) each; (N,) in [0, 1] for maps >= 0."""
    return functional.cosine_similarity(one.flatten(1).double(), other.flatten(1).double(), dim=1)


def effective_support(maps: Tensor, share: float = 0.9) -> Tensor:
    """Smallest share of positions that together hold ``share`` of a map; (N, h, w) to (N,).

    From 1 / (h w) (all at one position) to about ``share`` (uniform).
    """
    ordered = distribution(maps).flatten(1).sort(dim=1, descending=True).values
    short = ordered.cumsum(dim=1) < share - 1e-9
    return (short.sum(dim=1) + 1).double() / ordered.shape[1]


def spearman(one: Tensor, other: Tensor) -> Tensor:
    """Spearman's rank correlation of two maps over positions, (N, h, w) each; (N,) in [-1, 1].

    NaN if a map is constant. Source: Spearman, "The Proof and Measurement of Association between
    Two Things", 1904.
    """
    flat = [pd.DataFrame(maps.flatten(1).cpu().numpy()) for maps in (one, other)]
    ranks = [maps.rank(axis=1).to_numpy() for maps in flat]
    centred = [values - values.mean(axis=1, keepdims=True) for values in ranks]
    scale = np.prod([np.linalg.norm(values, axis=1) for values in centred], axis=0)
    products = (centred[0] * centred[1]).sum(axis=1)
    return torch.from_numpy(
        np.divide(products, scale, np.full_like(scale, np.nan), where=scale > 0)
    )


def ssim(one: Tensor, other: Tensor) -> Tensor:
    """Structural similarity of two maps, each divided by its maximum; (N,) in [-1, 1].

    The mean over all 7 x 7 windows that lie inside the map; a smaller map has smaller windows, of
    an odd side. Source: Wang et al., "Image Quality Assessment: From Error Visibility to
    Structural Similarity", IEEE Transactions on Image Processing 2004, eq. 13, with its constants
    and with uniform windows.

    Args:
        one: (N, h, w), at least 0.
        other: (N, h, w), at least 0.
    """
    x, y = (
        (maps / maps.amax(dim=(1, 2), keepdim=True).clamp_min(1e-300)).double()[:, None]
        for maps in (one, other)
    )
    side = min(7, *one.shape[1:])
    window = side if side % 2 else side - 1

    def mean(values: Tensor) -> Tensor:
        return functional.avg_pool2d(values, window, stride=1)

    mean_x, mean_y = mean(x), mean(y)
    variances = mean(x * x) - mean_x**2 + mean(y * y) - mean_y**2
    covariance = mean(x * y) - mean_x * mean_y
    luminance, contrast = 0.01**2, 0.03**2  # C1 and C2 for values from 0 to 1
    similar = (2 * mean_x * mean_y + luminance) * (2 * covariance + contrast)
    return (similar / (mean_x**2 + mean_y**2 + luminance) / (variances + contrast)).mean((1, 2, 3))


def gram(features: Tensor) -> Tensor:
    """Inner products, (N, N) float64, of (N, ...) features that are centred over images."""
    flat = features.flatten(1).double()
    flat = flat - flat.mean(dim=0)
    return flat @ flat.T


def linear_cka(one: Tensor, other: Tensor) -> float:
    """Linear centred kernel alignment, <K, L> / (|K| |L|), of two `gram` matrices K and L.

    From 0 (nothing in common) to 1 (equal up to rotation and scale). Source: Kornblith et al.,
    "Similarity of Neural Network Representations Revisited", ICML 2019, eq. 3 with linear kernels.
    """
    scale = torch.linalg.matrix_norm(one) * torch.linalg.matrix_norm(other)
    return float((one * other).sum() / scale.clamp_min(1e-300))


def _resized(maps: Tensor, size: tuple[int, int]) -> Tensor:
    return functional.interpolate(maps.unsqueeze(1), size, mode="nearest-exact").squeeze(1)
