"""From encoded images to one uint8 tensor, decoded in threads."""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image, UnidentifiedImageError
from torch import Tensor

from ir2search.errors import DataError


@dataclass(frozen=True)
class RawImages:
    """All images of a source, decoded.

    Attributes:
        tensors: ``train_images`` and ``test_images``, (N, C, H, W) uint8, ``train_labels`` and
            ``test_labels``, (N,) int64.
        class_names: in order of the labels.
    """

    tensors: dict[str, Tensor]
    class_names: list[str]


def decode(
    count: int, read: Callable[[int], bytes], name: Callable[[int], str], size: int | None
) -> Tensor:
    """Decode ``count`` images to (count, 3, H, W) uint8.

    Args:
        count: how many.
        read: gives the encoded bytes of one by its index.
        name: names one by its index, for errors.
        size: side to which each is resized; None where all are of one size already.

    Raises:
        DataError: an image that cannot be decoded, or whose size differs from the first one's.
    """

    def pixels(index: int) -> np.ndarray:
        try:
            with Image.open(io.BytesIO(read(index))) as image:
                rgb = image.convert("RGB")
        except (UnidentifiedImageError, OSError, ValueError, SyntaxError) as error:
            raise DataError(
                f"{name(index)}: not an image that can be decoded ({error}); replace or remove it"
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
                f"{name(index)}: {_sides(image)} pixels where the first image has {_sides(first)}; "
                "give the study file a `size` in [data]"
            )
        result[index] = image

    with ThreadPoolExecutor() as pool:
        for _ in pool.map(place, range(count)):
            pass
    return torch.from_numpy(result).permute(0, 3, 1, 2).contiguous()


def check_memory(size: int, what: str) -> None:
    """Refuse what would not fit.

    Raises:
        DataError: ``size`` bytes are more than this machine's memory.
    """
    if not hasattr(os, "sysconf"):
        return
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    if size > memory:
        raise DataError(
            f"{what}: {size / 1e9:.0f} GB are more than the memory of {memory / 1e9:.0f} GB; give "
            "the study file `stream = true` and a `size` in [data]"
        )


def _sides(image: np.ndarray) -> str:
    return f"{image.shape[1]} x {image.shape[0]}"


def checked_labels(labels: Sequence[int | None], classes: int, name: str) -> Tensor:
    """Labels as (N,) int64.

    Raises:
        DataError: a label that is missing or not from 0 to ``classes`` - 1.
    """
    for row, label in enumerate(labels):
        if label is None or not 0 <= label < classes:
            raise DataError(
                f"{name}: row {row}: the label must be from 0 to {classes - 1}, but is {label}"
            )
    return torch.tensor(labels, dtype=torch.int64)
