"""The images that a network is measured on, normalised one batch at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from ir2search.data import ImageData, Split, StreamedSplit

CPU = torch.device("cpu")


@dataclass(frozen=True)
class Images:
    """Images with their labels; only one batch at a time is converted to floats.

    Attributes:
        split: uint8 images in memory or on disk; batches are on the device of the networks.
        normalise: converts (n, C, H, W) uint8 to the floats that networks take.
    """

    split: Split | StreamedSplit
    normalise: Callable[[Tensor], Tensor]

    def __len__(self) -> int:
        return len(self.split)

    @property
    def shape(self) -> tuple[int, int, int]:
        """(channels, height, width) of an image."""
        return self.split.shape

    @property
    def labels(self) -> Tensor:
        """(N,) int64."""
        return self.split.labels

    def first(self, count: int) -> Images:
        """The first images; all of them if there are fewer."""
        return Images(self.split.first(count), self.normalise)

    def batches(self, size: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Normalised images (n, C, H, W) and labels (n,), at most ``size`` at a time, in order."""
        for images, labels in self.split.evaluation_batches(size):
            yield self.normalise(images), labels

    def whole(self) -> tuple[Tensor, Tensor]:
        """All images, normalised, and their labels, in one batch."""
        return next(self.batches(len(self)))


def first_images(
    data: ImageData, split: Split | StreamedSplit, count: int, device: torch.device = CPU
) -> Images:
    """The first images of ``data.train`` or ``data.validation``; all if there are fewer."""
    return Images(split.first(count).to(device), data.normalise)
