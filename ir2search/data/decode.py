"""Decode images to one uint8 tensor, in threads."""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch
from PIL import Image, UnidentifiedImageError
from torch import Tensor

from ir2search.errors import DataError


def decode(
    count: int, read: Callable[[int], bytes], name: Callable[[int], str], size: int | None
) -> Tensor:
    """Decode ``count`` images to (count, 3, H, W) uint8.

    Args:
        count: number of images.
        read: returns the encoded bytes of an image by its index.
        name: returns the name of an image by its index, for errors.
        size: side in pixels to which images are resized; None if they all have one size.

    Raises:
        DataError: an image cannot be decoded, or has another size than the first one.
    """

    def pixels(index: int) -> np.ndarray:
        try:
            with Image.open(io.BytesIO(read(index))) as image:
                rgb = image.convert("RGB")
        except (UnidentifiedImageError, OSError, ValueError, SyntaxError) as error:
            raise DataError(
                f"{name(index)}: cannot be decoded as an image ({error}); replace or remove it"
            ) from None
        if size is not None and rgb.size != (size, size):
            rgb = rgb.resize((size, size), Image.Resampling.BILINEAR)
        return np.asarray(rgb)

    first = pixels(0)
    check_memory(count * first.size, f"{count} images of {_sides(first)}")
    result = np.empty((count, *first.shape), dtype=np.uint8)

    def place(index: int) -> None:
        image = pixels(index)
        if image.shape != first.shape:
            raise DataError(
                f"{name(index)}: has {_sides(image)} pixels, but the first image {_sides(first)}; "
                "set `size` in [data]"
            )
        result[index] = image

    with ThreadPoolExecutor() as pool:
        for _ in pool.map(place, range(count)):
            pass
    return torch.from_numpy(result).permute(0, 3, 1, 2).contiguous()


def check_memory(size: int, what: str) -> None:
    """Check that data fits in this machine's memory.

    Args:
        size: size of the data in bytes.
        what: name of the data, for the error.

    Raises:
        DataError: the data is larger than the memory.
    """
    if not hasattr(os, "sysconf"):
        return
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    if size > memory:
        raise DataError(
            f"{what}: {size / 1e9:.0f} GB do not fit in the memory of {memory / 1e9:.0f} GB; set "
            "`stream = true` and `size` in [data]"
        )


def _sides(image: np.ndarray) -> str:
    return f"{image.shape[1]} x {image.shape[0]}"


def checked_labels(labels: Sequence[int | None], classes: int, name: str) -> Tensor:
    """Labels as (N,) int64.

    Raises:
        DataError: a label is missing, or not from 0 to ``classes`` - 1; the message gives ``name``.
    """
    for row, label in enumerate(labels):
        if label is None or not 0 <= label < classes:
            raise DataError(
                f"{name}: row {row}: the label must be from 0 to {classes - 1}, but is {label}"
            )
    return torch.tensor(labels, dtype=torch.int64)
