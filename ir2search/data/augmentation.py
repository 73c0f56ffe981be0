"""Augmentation: random changes of whole batches of training images."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from ir2search.data.device import to_device

SIDES = (3 / 4, 4 / 3)  # width divided by height of a random resized crop
FLIP_SEED = 2**40  # so that the first flips do not depend on the order of an epoch


@dataclass(frozen=True)
class Augmentation:
    """Random changes of training images: resized crop, padding and crop, mirroring, cutout.

    Attributes:
        crop_padding: pixels of padding on each side, before a random crop to the original size; 0
            for no crop.
        flip: whether each image is mirrored with probability 1/2.
        crop_area: smallest share of the image in a random resized crop, see `crop_box`; 1 for no
            such crop.
        padding: ``"zeros"``, or ``"reflect"`` for the mirror image beyond the border.
        alternating_flip: whether an image that is mirrored in one epoch is not in the next.
        cutout: side in pixels of a square that is blanked in each image; 0 for none.
        mirrored: (N,) bool, the images of the split that are mirrored; None for a random draw.
    """

    crop_padding: int = 4
    flip: bool = True
    crop_area: float = 1.0
    padding: Literal["zeros", "reflect"] = "zeros"
    alternating_flip: bool = False
    cutout: int = 0
    mirrored: Tensor | None = None

    def in_epoch(self, epoch: int, count: int, seed: int) -> Augmentation:
        """The augmentation after ``epoch`` epochs of a split of ``count`` images.

        The seed chooses the images that an alternating flip mirrors in the first epoch.
        """
        if not (self.flip and self.alternating_flip):
            return self
        generator = torch.Generator().manual_seed(seed + FLIP_SEED)
        first = torch.rand(count, generator=generator) < 0.5
        return replace(self, mirrored=first if epoch % 2 == 0 else ~first)

    def __call__(self, images: Tensor, rows: Tensor, generator: torch.Generator) -> Tensor:
        """Augment images (n, C, H, W) uint8, which are ``rows`` (n,) of their split.

        Random numbers are drawn on the CPU.
        """
        if self.crop_area < 1:
            images = _cropped(images, torch.rand(len(images), 4, generator=generator), self)
        return self.moved(images, rows, generator)

    def moved(self, images: Tensor, rows: Tensor, generator: torch.Generator) -> Tensor:
        """Augment images (n, C, H, W), which are ``rows`` of their split, with no resized crop."""
        count, channels, height, width = images.shape
        p = self.crop_padding
        top, left = torch.randint(0, 2 * p + 1, (2, count, 1), generator=generator)
        mirrored = torch.rand(count, 1, generator=generator) < (0.5 if self.flip else 0)
        if self.mirrored is not None:
            mirrored = self.mirrored[rows, None]
        down = top + torch.arange(height)
        across = torch.arange(width).expand(count, width)
        across = left + torch.where(mirrored, across.flip(1), across)
        if self.padding == "reflect":
            down, across = _reflected(down - p, height), _reflected(across - p, width)
        else:
            images = functional.pad(images, (p, p, p, p))
        # one gather of flat places is several times faster than an index for each dimension
        places = (down[:, :, None] * images.shape[3] + across[:, None, :]).flatten(1)
        index = to_device(places, images.device)[:, None].expand(-1, channels, -1)
        images = images.flatten(2).gather(2, index).view(count, channels, height, width)
        return _cut(images, self.cutout, generator) if self.cutout else images


def _reflected(places: Tensor, length: int) -> Tensor:
    """Places on an axis of ``length`` pixels that is reflected at its first and last pixel."""
    period = max(1, 2 * (length - 1))
    places = places % period
    return torch.minimum(places, period - places)


def _cut(images: Tensor, side: int, generator: torch.Generator) -> Tensor:
    """Fill a square of each image (n, C, H, W) uint8 with the batch's mean colour.

    The mean is 0 after normalisation. Centres are uniform over the image, so that a square may be
    partly outside.
    """
    inside = []
    for length in images.shape[2:]:
        first = torch.randint(0, length, (len(images), 1), generator=generator) - side // 2
        places = torch.arange(length)
        inside.append((places >= first) & (places < first + side))
    mask = to_device(inside[0][:, None, :, None] & inside[1][:, None, None, :], images.device)
    colour = images.float().mean(dim=(0, 2, 3), keepdim=True).round().to(images.dtype)
    return torch.where(mask, colour, images)


def crop_box(
    numbers: np.ndarray, width: float, height: float, least_area: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Compute the box of a random resized crop (Szegedy et al., CVPR 2015, section 6).

    The area is uniform between ``least_area`` and 1 of the image. The ratio of width to height is
    log-uniform between 3 : 4 and 4 : 3. A side longer than the image's is cut.

    Args:
        numbers: (..., 4), from 0 to 1: for the area, the ratio, and the position in both
            directions.
        width: width of the image in pixels.
        height: height of the image in pixels.
        least_area: smallest area, as a share of the image's.

    Returns:
        left, top, width and height, each (...), in pixels, not rounded.
    """
    area = (least_area + numbers[..., 0] * (1 - least_area)) * width * height
    sides = SIDES[0] * (SIDES[1] / SIDES[0]) ** numbers[..., 1]
    across = np.minimum(np.sqrt(area * sides), width)
    down = np.minimum(np.sqrt(area / sides), height)
    return numbers[..., 2] * (width - across), numbers[..., 3] * (height - down), across, down


def _cropped(images: Tensor, numbers: Tensor, augmentation: Augmentation) -> Tensor:
    """Random resized crops of images (N, C, H, W) uint8, by bilinear interpolation."""
    left, top, across, down = (
        torch.from_numpy(values)
        for values in crop_box(numbers.double().numpy(), 2.0, 2.0, augmentation.crop_area)
    )
    # the coordinates of an affine grid are -1 to 1 in both directions
    zero = torch.zeros_like(left)
    rows = [
        torch.stack([across / 2, zero, left + across / 2 - 1], dim=1),
        torch.stack([zero, down / 2, top + down / 2 - 1], dim=1),
    ]
    places = to_device(torch.stack(rows, dim=1).float(), images.device)
    grid = functional.affine_grid(places, list(images.shape), align_corners=False)
    found = functional.grid_sample(images.float(), grid, padding_mode="border", align_corners=False)
    return found.round().to(images.dtype)
