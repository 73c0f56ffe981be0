"""Information restriction: blank out the pixels that the network's own attention passes over.

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
    """Attention of a feature tensor over its positions: the channels' mean of squares, normalised.

    A = mean over channels of F², divided by its Euclidean norm per sample:

    - ``"map"``: over the whole map. A threshold relative to the map's mean does not see it.
    - ``"column"``: over each column (the first spatial axis) by itself, as the method's released
      code does, where it raises columns of low attention.

    Args:
        features: (N, C, h, w) float.
        normalization: ``"map"`` or ``"column"``.

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
    """Images with the pixels of low attention set to 0.

    The attention map of ``features`` is upsampled bilinearly (corners aligned) to the images'
    size; a pixel is kept where A > threshold * mean(A), the mean taken per sample. No gradient
    flows through the result. A threshold of 0 takes only the pixels without any attention.

    Args:
        images: (N, C, H, W) float, normalised, so that 0 is the data's mean.
        features: (N, c, h, w) float, the last feature maps before fusion.
        threshold: lambda of the paper, at least 0; 0.15 in its experiments.
        normalization: of the attention map, see `attention_map`.

    Returns:
        (N, C, H, W) float: a new tensor.

    Raises:
        ValueError: a threshold below 0 or not finite, or shapes that do not belong together.
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
