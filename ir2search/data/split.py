"""A split of a data set in the device's memory, in batches."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from ir2search.data.augmentation import Augmentation
from ir2search.data.device import to_device

EVALUATION_BATCH = 1024


@dataclass(frozen=True)
class Split:
    """Images and labels of one split, in memory.

    Attributes:
        images: (N, C, H, W) uint8.
        labels: (N,) int64.
    """

    images: Tensor
    labels: Tensor

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def shape(self) -> tuple[int, int, int]:
        """(channels, height, width) of an image."""
        channels, height, width = self.images.shape[1:]
        return channels, height, width

    @property
    def device(self) -> torch.device:
        """The device of the batches."""
        return self.labels.device

    def to(self, device: torch.device) -> Split:
        """The split with its tensors on ``device``."""
        return Split(self.images.to(device), self.labels.to(device))

    def first(self, count: int) -> Split:
        """The first images of the split; all of them if it has fewer."""
        return Split(self.images[:count], self.labels[:count])

    def take(self, indices: Tensor) -> tuple[Tensor, Tensor]:
        """Images (n, C, H, W) uint8 and labels (n,) at these indices, as for evaluation."""
        return self.images[indices], self.labels[indices]

    def batches(
        self, size: int, augmentation: Augmentation, generator: torch.Generator
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """Iterate over one epoch in random order: images (size, C, H, W) uint8, labels (size,).

        All batches are full; the images that are left over are not used in this epoch. A split
        that is smaller than a batch gives one smaller batch.
        """
        for chosen in epoch_order(len(self), size, generator):
            rows = to_device(chosen, self.images.device)
            yield augmentation(self.images[rows], chosen, generator), self.labels[rows]

    def evaluation_batches(self, size: int = EVALUATION_BATCH) -> Iterator[tuple[Tensor, Tensor]]:
        """Iterate over all images in order: images (n, C, H, W) uint8, labels (n,), n <= size."""
        yield from zip(self.images.split(size), self.labels.split(size), strict=True)


def epoch_order(count: int, size: int, generator: torch.Generator) -> list[Tensor]:
    """Random indices of an epoch's full batches; of one smaller batch if there is no full one."""
    order = torch.randperm(count, generator=generator)
    size = min(size, count)
    return [order[start : start + size] for start in range(0, count - size + 1, size)]
