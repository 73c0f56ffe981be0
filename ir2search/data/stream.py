"""A split on disk: worker processes decode its images while the device computes.

The main process draws all random numbers, so batches do not depend on the number of workers.
"""

from __future__ import annotations

import logging
import shutil
import signal
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from ir2search.data.augmentation import Augmentation, crop_box
from ir2search.data.device import to_device
from ir2search.data.encoded import EncodedImages
from ir2search.data.pixels import (
    no_pillow_warnings,
    open_image,
    orientation,
    upright_rgb,
)
from ir2search.data.split import EVALUATION_BATCH, epoch_order
from ir2search.errors import DataError
from ir2search.interrupts import blocked_signals
from ir2search.machine import cores

CPU = torch.device("cpu")
CENTRE = 224 / 256  # share of the shorter side in evaluation, as usual for ImageNet
CHUNK = 32  # images in one job of a worker; limits the memory that it shares
SHARED = Path("/dev/shm")  # 64 MB in a container of Docker
PREFETCH = 4  # chunks that each worker decodes ahead


class _Job(NamedTuple):
    """The images that a worker decodes at a time.

    Attributes:
        images: indices of the images.
        numbers: (n, 4), random numbers for `crop_box`; None for the central crop.
        least_area: smallest area of a crop, as a share of the image's.
    """

    images: list[int]
    numbers: np.ndarray | None = None
    least_area: float = 1.0


@dataclass(frozen=True)
class StreamedSplit:
    """Images and labels of one split; only a few batches are in memory at a time.

    Attributes:
        source: all encoded images.
        chosen: (N,) int64, indices of the images of this split.
        labels: (N,) int64.
        size: side in pixels of the square images in a batch.
        device: the device of the batches.
    """

    source: EncodedImages
    chosen: Tensor
    labels: Tensor
    size: int
    device: torch.device = CPU

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def shape(self) -> tuple[int, int, int]:
        """(channels, height, width) of an image."""
        return 3, self.size, self.size

    def to(self, device: torch.device) -> StreamedSplit:
        """The split with its batches on ``device``."""
        return replace(self, device=device)

    def first(self, count: int) -> StreamedSplit:
        """The first images of the split; all of them if it has fewer."""
        return replace(self, chosen=self.chosen[:count], labels=self.labels[:count])

    def take(self, indices: Tensor) -> tuple[Tensor, Tensor]:
        """Images (n, 3, size, size) uint8 and labels (n,) at these indices, as for evaluation."""
        return next(self._load([indices]))

    def batches(
        self, size: int, augmentation: Augmentation, generator: torch.Generator
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """Iterate over one epoch in random order: images (size, 3, h, w) uint8, labels (size,).

        All batches are full; the images that are left over are not used in this epoch. A split
        that is smaller than a batch gives one smaller batch.
        """
        order = epoch_order(len(self), size, generator)
        area = augmentation.crop_area
        numbers = torch.rand(len(self), 4, generator=generator).numpy() if area < 1 else None
        loaded = self._load(order, numbers, area)
        for rows, (images, labels) in zip(order, loaded, strict=True):
            yield augmentation.moved(images, rows, generator), labels

    def evaluation_batches(self, size: int = EVALUATION_BATCH) -> Iterator[tuple[Tensor, Tensor]]:
        """Iterate over all central crops in order: (n, 3, h, w) uint8, labels (n,), n <= size."""
        yield from self._load(torch.arange(len(self)).split(size))

    def _load(
        self, order: Sequence[Tensor], numbers: np.ndarray | None = None, area: float = 1.0
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield the batches of ``order``, joined from the chunks that workers decode."""
        parts = [part for rows in order for part in rows.split(CHUNK)]
        jobs = (
            _Job(
                self.chosen[part].tolist(), None if numbers is None else numbers[part.numpy()], area
            )
            for part in parts
        )
        count = min(cores(), len(parts)) if len(parts) > 1 else 0
        loader: DataLoader[Tensor | np.ndarray | str] = DataLoader(
            _Decoder(self.source, self.size, _fits_shared_memory(count, self.size)),
            batch_sampler=jobs,  # type: ignore[arg-type]  # an iterable of the decoder's arguments
            collate_fn=_identity,
            num_workers=count,
            prefetch_factor=PREFETCH if count else None,
            worker_init_fn=_prepare_worker,
        )
        with blocked_signals(signal.SIGINT, signal.SIGTERM):
            chunks: Iterator[Tensor | np.ndarray | str] = iter(loader)
        pinned = self.device.type == "cuda"
        try:
            for rows in order:
                images = torch.empty((len(rows), *self.shape), dtype=torch.uint8, pin_memory=pinned)
                filled = 0
                while filled < len(rows):
                    chunk = next(chunks)
                    if isinstance(chunk, str):
                        raise DataError(chunk)
                    images[filled : filled + len(chunk)] = torch.as_tensor(chunk)
                    filled += len(chunk)
                labels = to_device(self.labels[rows], self.device)
                yield images.to(self.device, non_blocking=pinned), labels
        finally:
            # the traceback of an error would keep the workers, and the process waits for them
            chunks = iter(())


def _fits_shared_memory(count: int, size: int) -> bool:
    """Whether the chunks of ``count`` workers fit in a quarter of the free shared memory.

    Other trainings may use it at the same time. If it is full, a worker hangs or is killed.
    """
    free = shared_memory()
    chunks = count * PREFETCH + 1
    return free is None or 4 * chunks * CHUNK * 3 * size * size <= free


def shared_memory() -> int | None:
    """Free shared memory in bytes; None if this system does not limit it with /dev/shm."""
    return shutil.disk_usage(SHARED).free if SHARED.is_dir() else None


class _Decoder(Dataset[Tensor]):
    """Decodes images in a worker; returns a message in place of images that are damaged."""

    def __init__(self, source: EncodedImages, size: int, in_shared_memory: bool) -> None:
        self.source = source
        self.size = size
        self.in_shared_memory = in_shared_memory

    def __getitems__(self, job: Any) -> Tensor | np.ndarray | str:
        result = np.empty((len(job.images), self.size, self.size, 3), dtype=np.uint8)
        for place, index in enumerate(job.images):
            numbers = None if job.numbers is None else job.numbers[place]
            try:
                encoded, name = self.source.read(index), self.source.name(index)
                with no_pillow_warnings():
                    result[place] = decode_crop(encoded, name, self.size, numbers, job.least_area)
            except DataError as error:
                return str(error)
        images = result.transpose(0, 3, 1, 2)
        # torch passes tensors through shared memory, and arrays through a pipe
        return torch.from_numpy(images) if self.in_shared_memory else images


def decode_crop(
    encoded: bytes, name: str, size: int, numbers: np.ndarray | None, least_area: float
) -> np.ndarray:
    """Decode a crop of an image and resize it.

    Args:
        encoded: the bytes of a JPEG, PNG, ...
        name: name of the image, for errors.
        size: side of the result in pixels.
        numbers: (4,), random numbers for `crop_box`; None for the central square with 224/256 of
            the shorter side.
        least_area: smallest area of a random crop, as a share of the image's.

    Returns:
        (size, size, 3) uint8.

    Raises:
        DataError: the image is damaged, too large, or of a mode without a defined conversion.
    """
    with open_image(encoded, name) as image:
        turn = orientation(image)
        full = image.width
        width, height = image.size if turn < 5 else image.size[::-1]  # of the upright image
        left, top, across, down = _box(width, height, numbers, least_area)
        # if a half or a quarter of a JPEG's size is enough, it decodes faster at that size
        shrink = max(1.0, min(across, down) / size)
        image.draft("RGB", (int(image.width / shrink), int(image.height / shrink)))
        scale = image.width / full
        box = (left * scale, top * scale, (left + across) * scale, (top + down) * scale)
        rgb = upright_rgb(image, name)
        return np.asarray(
            rgb.resize((size, size), Image.Resampling.BILINEAR, box=box, reducing_gap=2.0)
        )


def _box(
    width: int, height: int, numbers: np.ndarray | None, least_area: float
) -> tuple[float, float, float, float]:
    """Left, top, width and height of a crop, in pixels."""
    if numbers is None:
        side = CENTRE * min(width, height)
        return (width - side) / 2, (height - side) / 2, side, side
    left, top, across, down = crop_box(numbers, width, height, least_area)
    return float(left), float(top), float(across), float(down)


def _identity(chunk: Any) -> Any:
    return chunk


def _prepare_worker(worker: int) -> None:
    logging.getLogger("ir2search.data").setLevel(logging.ERROR)  # workers start in each epoch
