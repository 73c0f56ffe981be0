"""Information restriction: set the pixels with low attention to 0.

Source: Xue et al., "IR²Net", arXiv 2210.02637, section 3.2.
"""

from __future__ import annotations

import math
from typing import get_args

import torch
from torch import Tensor
from torch.nn import functional

from ir2search.choices import Normalization


def attention_map(features: Tensor, normalization: Normalization = "map") -> Tensor:
    """Attention at each position of feature maps F: the mean of F² over channels, normalised.

    Args:
        features: (N, C, h, w) float.
        normalization: what the mean is divided by: ``"map"``, the Euclidean norm of the sample's
            map, which does not change the pixels that `restrict` keeps; or ``"column"``, the norm
            of each column (along h), which raises columns with low attention, as the authors'
            released code does.

    Returns:
        (N, h, w) float, at least 0.
    """
    if normalization not in get_args(Normalization):
        raise ValueError(f"`normalization` must be 'map' or 'column', but got {normalization!r}")
    energy = features.square().mean(dim=1)
    axes = (1, 2) if normalization == "map" else (1,)
    return energy / torch.linalg.vector_norm(energy, dim=axes, keepdim=True).clamp_min(1e-12)


@torch.no_grad()
def restrict(
    images: Tensor,
    features: Tensor,
    threshold: float,
    normalization: Normalization = "map",
) -> Tensor:
    """Set the pixels with low attention to 0.

    The attention map A of ``features`` is upsampled bilinearly, with aligned corners, to the size
    of the images. A pixel is kept if A > threshold * mean(A), with the mean over the sample. A
    threshold of 0 changes only pixels with no attention at all. The result has no gradient.

    Args:
        images: (N, C, H, W) float, normalised, so that 0 is the mean of the data.
        features: (N, c, h, w) float, the last feature maps before fusion.
        threshold: lambda of the paper, at least 0; the paper uses 0.15.
        normalization: ``"map"`` or ``"column"``, see `attention_map`.

    Returns:
        (N, C, H, W) float, a new tensor.

    Raises:
        ValueError: the threshold is negative or not finite, or the shapes do not match.
    """
    if not (math.isfinite(threshold) and threshold >= 0):
        raise ValueError(f"`threshold` must be finite and at least 0, but got {threshold}")
    if images.ndim != 4 or features.ndim != 4 or len(images) != len(features):
        raise ValueError(
            "`images` must be (N, C, H, W) and `features` (N, c, h, w) with the same N, "
            f"but got {tuple(images.shape)} and {tuple(features.shape)}"
        )
    attention = attention_map(features, normalization).unsqueeze(1)
    attention = functional.interpolate(
        attention, size=images.shape[-2:], mode="bilinear", align_corners=True
    )
    kept = attention > threshold * attention.mean(dim=(2, 3), keepdim=True)
    return images * kept
