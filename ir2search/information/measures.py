"""Measures of maps and of features, each a small function with its formula."""

from __future__ import annotations

import numpy as np
import torch
from scipy import stats
from skimage.metrics import structural_similarity
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
    return functional.cosine_similarity(one.flatten(1).double(), other.flatten(1).double(), dim=1)


def effective_support(maps: Tensor, share: float = 0.9) -> Tensor:
    """Share of positions that hold ``share`` of a map, the fewest that do; (N, h, w) to (N,).

    From 1 / (h w) (all at one position) to about ``share`` (everywhere alike).
    """
    ordered = distribution(maps).flatten(1).sort(dim=1, descending=True).values
    short = ordered.cumsum(dim=1) < share - 1e-9
    return (short.sum(dim=1) + 1).double() / ordered.shape[1]


def spearman(one: Tensor, other: Tensor) -> Tensor:
    """Spearman's rank correlation of two maps over positions, (N, h, w) each; (N,) in [-1, 1].

    Not a number where a map is the same everywhere. Source: Spearman, "The Proof and Measurement
    of Association between Two Things", 1904.
    """
    ranks = [stats.rankdata(maps.flatten(1).cpu().numpy(), axis=1) for maps in (one, other)]
    centred = [values - values.mean(axis=1, keepdims=True) for values in ranks]
    scale = np.prod([np.linalg.norm(values, axis=1) for values in centred], axis=0)
    products = (centred[0] * centred[1]).sum(axis=1)
    return torch.from_numpy(
        np.divide(products, scale, np.full_like(scale, np.nan), where=scale > 0)
    )


def ssim(one: Tensor, other: Tensor) -> Tensor:
    """Structural similarity of two maps, each scaled to a greatest value of 1; (N,) in [-1, 1].

    (N, h, w) each, by windows of 7 x 7, or the maps' own size where that is less. Source: Wang et
    al., "Image Quality Assessment", IEEE Transactions on Image Processing 2004, eq. 13.
    """
    scaled = [
        (maps / maps.amax(dim=(1, 2), keepdim=True).clamp_min(1e-300)).double().cpu().numpy()
        for maps in (one, other)
    ]
    side = min(7, *one.shape[1:])
    window = side if side % 2 else side - 1
    found = [
        structural_similarity(a, b, data_range=1.0, win_size=window, use_sample_covariance=False)
        for a, b in zip(*scaled, strict=True)
    ]
    return torch.tensor(found, dtype=torch.float64)


def gram(features: Tensor) -> Tensor:
    """(N, N) float64: inner products of (N, ...) features, centred over images."""
    flat = features.flatten(1).double()
    flat = flat - flat.mean(dim=0)
    return flat @ flat.T


def linear_cka(one: Tensor, other: Tensor) -> float:
    """Linear centred kernel alignment, <K, L> / (|K| |L|), of two centred `gram` matrices.

    From 0 (nothing in common) to 1 (the same up to rotation and scale). Source: Kornblith et al.,
    "Similarity of Neural Network Representations Revisited", ICML 2019, eq. 3 with linear kernels.
    """
    scale = torch.linalg.matrix_norm(one) * torch.linalg.matrix_norm(other)
    return float((one * other).sum() / scale.clamp_min(1e-300))


def _resized(maps: Tensor, size: tuple[int, int]) -> Tensor:
    return functional.interpolate(maps.unsqueeze(1), size, mode="nearest-exact").squeeze(1)
