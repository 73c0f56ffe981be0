"""Smaller images at the beginning of a training."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from ir2search.errors import StudyError
from ir2search.models.network import TappedNetwork
from ir2search.training.recipe import Recipe

LARGE = 64  # pixels; networks for larger images halve their maps five times, the others twice


def shrunk(images: Tensor, share: float) -> Tensor:
    """Resize images to a share of their sides, by bilinear interpolation with antialiasing.

    Args:
        images: (N, C, H, W) float.
        share: above 0 and at most 1.

    Returns:
        (N, C, h, w), whose sides are multiples of 4 pixels, or of 32 if the images are large.
    """
    sides = tuple(images.shape[-2:])
    unit = 32 if max(sides) > LARGE else 4
    smaller = tuple(min(side, max(unit, round(share * side / unit) * unit)) for side in sides)
    if smaller == sides:
        return images
    return functional.interpolate(images, size=smaller, mode="bilinear", antialias=True)


@torch.no_grad()
def check_sizes(network: TappedNetwork, recipe: Recipe, image: tuple[int, int, int]) -> None:
    """Check that a network takes the smaller images of a recipe, of (channels, height, width).

    Raises:
        StudyError: it takes images of one size only.
    """
    if recipe.first_side == 1:
        return
    smallest = shrunk(torch.zeros(1, *image), recipe.first_side)
    was_training = network.training
    try:
        network.eval()(smallest)
    except RuntimeError:
        size = " x ".join(map(str, smallest.shape[-2:]))
        raise StudyError(
            f"[recipe] first_side: this network does not take smaller images, here of {size} "
            "pixels; leave it out, or choose another backbone"
        ) from None
    finally:
        network.train(was_training)
