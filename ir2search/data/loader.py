"""Batches of a split that lies on the device, augmented by indexing, with no Python per image."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from ir2search.data.dataset import Split


@dataclass(frozen=True)
class Augmentation:
    """Zero padding with a random crop back to size, and a random horizontal flip.

    Attributes:
        crop_padding: pixels of padding on each side; 0 for no crop.
        flip: whether half of the images are mirrored.
    """

    crop_padding: int = 4
    flip: bool = True

    def __call__(self, images: Tensor, generator: torch.Generator) -> Tensor:
        """Augment images (N, C, H, W); the random numbers are drawn on the CPU."""
        count, channels, height, width = images.shape
        device = images.device
        p = self.crop_padding
        top, left = torch.randint(0, 2 * p + 1, (2, count, 1), generator=generator)
        mirrored = torch.rand(count, 1, generator=generator) < (0.5 if self.flip else 0)
        rows = top + torch.arange(height)
        columns = torch.arange(width).expand(count, width)
        columns = left + torch.where(mirrored, columns.flip(1), columns)
        padded = functional.pad(images, (p, p, p, p))
        return padded[
            torch.arange(count, device=device)[:, None, None, None],
            torch.arange(channels, device=device)[None, :, None, None],
            rows.to(device)[:, None, :, None],
            columns.to(device)[:, None, None, :],
        ]


def batches(
    split: Split, size: int, augmentation: Augmentation, generator: torch.Generator
) -> Iterator[tuple[Tensor, Tensor]]:
    """One epoch in random order: uint8 images (size, C, H, W) and labels (size,).

    All batches are full: what is left over of this epoch's order is left out, unless there is
    no full batch at all.
    """
    order = torch.randperm(len(split), generator=generator).to(split.images.device)
    size = min(size, len(split))
    for start in range(0, len(split) - size + 1, size):
        chosen = order[start : start + size]
        yield augmentation(split.images[chosen], generator), split.labels[chosen]


def evaluation_batches(split: Split, size: int = 1024) -> Iterator[tuple[Tensor, Tensor]]:
    """All of a split in order: uint8 images and labels, at most ``size`` at a time."""
    yield from zip(split.images.split(size), split.labels.split(size), strict=True)
