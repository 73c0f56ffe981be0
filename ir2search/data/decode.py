"""Decode images to one uint8 tensor, in threads."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from threading import Condition

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from ir2search.data.encoded import Row, batches
from ir2search.data.pixels import (
    MAX_PIXELS,
    no_pillow_warnings,
    open_image,
    read_file,
    upright_rgb,
)
from ir2search.errors import DataError


def decode(rows: Iterable[Row], count: int, size: int | None) -> Tensor:
    """Decode images to (count, 3, H, W) uint8.

    Args:
        rows: the images; errors have their names.
        count: number of images.
        size: side in pixels to which images are resized; None if they all have one size.

    Raises:
        DataError: an image cannot be decoded, or has another size than the first one; or all
            images do not fit in memory.
    """
    budget = _PixelBudget(MAX_PIXELS)
    remaining = iter(rows)
    with no_pillow_warnings(), ThreadPoolExecutor() as pool:
        first = _pixels(next(remaining), size, budget)
        result = _allocate(count, first)
        result[0] = first

        def place(index: int, row: Row) -> None:
            image = _pixels(row, size, budget)
            if image.shape != first.shape:
                raise DataError(
                    f"{row[0]}: has {_sides(image)} pixels, but the first image {_sides(first)}; "
                    "set `size` in [data]"
                )
            result[index] = image

        placed = 1
        for batch in batches(remaining):
            for _ in pool.map(place, range(placed, placed + len(batch)), batch):
                pass
            placed += len(batch)
    return torch.from_numpy(result).permute(0, 3, 1, 2).contiguous()


def check_memory(size: int, what: str) -> None:
    """Check that data of ``size`` bytes, called ``what``, fits in this machine's memory.

    Raises:
        DataError: the data is larger than the memory.
    """
    if not hasattr(os, "sysconf"):
        return
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    if size > memory:
        raise _too_much(f"{what}: {size / 1e9:.0f} GB", f"the memory of {memory / 1e9:.0f} GB")


def checked_labels(
    labels: Sequence[int | None], classes: int, name: str, first: int = 0
) -> list[int]:
    """Labels of the rows of the table ``name``, counted from 0 instead of from ``first``.

    Raises:
        DataError: a label is missing, or not from ``first`` to ``first + classes - 1``.
    """
    checked = []
    for row, label in enumerate(labels):
        if label is None or not first <= label < first + classes:
            raise DataError(
                f"{name}: row {row}: the label must be from {first} to {first + classes - 1}, "
                f"but is {label}; correct it"
            )
        checked.append(label - first)
    return checked


def _pixels(row: Row, size: int | None, budget: _PixelBudget) -> np.ndarray:
    """Decode one image to (H, W, 3) uint8."""
    name, encoded = row
    if encoded is None:
        encoded = read_file(Path(name))
    with open_image(encoded, name) as image, budget.use(image.width * image.height):
        rgb = upright_rgb(image, name)
        if size is not None and rgb.size != (size, size):
            rgb = rgb.resize((size, size), Image.Resampling.BILINEAR)
        return np.asarray(rgb)


class _PixelBudget:
    """Limits the pixels that all threads decode at the same time."""

    def __init__(self, pixels: int) -> None:
        self._free = pixels
        self._changed = Condition()

    @contextmanager
    def use(self, pixels: int) -> Iterator[None]:
        """Wait until so many pixels are free, and keep them in the body."""
        with self._changed:
            self._changed.wait_for(lambda: self._free >= pixels)
            self._free -= pixels
        try:
            yield
        finally:
            with self._changed:
                self._free += pixels
                self._changed.notify_all()


def _allocate(count: int, first: np.ndarray) -> np.ndarray:
    what = f"{count} images of {_sides(first)}"
    check_memory(count * first.size, what)
    try:
        return np.empty((count, *first.shape), dtype=np.uint8)
    except MemoryError:
        raise _too_much(f"{what}: {count * first.size / 1e9:.1f} GB", "memory") from None


def _too_much(what: str, memory: str) -> DataError:
    return DataError(f"{what} do not fit in {memory}; set `stream = true` and `size` in [data]")


def _sides(image: np.ndarray) -> str:
    return f"{image.shape[1]} x {image.shape[0]}"
