"""Data sets by the name of their source in a study file."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ir2search.errors import DataError
from ir2search.registry import Registry, user_code

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class LabelledImages:
    """A complete data set in memory.

    Attributes:
        train_images: (N, C, H, W) uint8; a part is held out to rank the candidates.
        train_labels: (N,) int64, from 0.
        test_images: (M, C, H, W) uint8, used once at the end of a search.
        test_labels: (M,) int64, from 0.
        class_names: names of the classes, in the order of the labels.
    """

    train_images: Tensor
    train_labels: Tensor
    test_images: Tensor
    test_labels: Tensor
    class_names: tuple[str, ...]

    def tensors(self) -> dict[str, Tensor]:
        """The images and labels of both splits, by the name of their field."""
        return {name: value for name, value in vars(self).items() if name != "class_names"}


Reader = Callable[[Path | None, int | None], LabelledImages]

# `load_data` itself reads the sources without a function
SOURCES: Registry[Reader | None] = Registry("data source", {"digits": None, "folder": None})


def register_dataset(name: str) -> Callable[[Reader], Reader]:
    """Register a data set, so that a study's ``[data]`` can set ``source = name``.

    The decorated function takes the data folder (None if there is none) and the size in pixels
    (None to keep the images' own) and returns `LabelledImages`. Each process that trains calls it;
    it must return the same images each time.

    Raises:
        StudyError: the name is taken.
    """

    def register(reader: Reader) -> Reader:
        SOURCES.register(name, reader)
        return reader

    return register


def read_registered(name: str, folder: Path | None, size: int | None) -> LabelledImages:
    """Call the function of a registered data set, and check its result.

    Raises:
        StudyError: the function raised an exception.
        DataError: the result is not a valid data set; the message gives the rule.
    """
    from torch import Tensor

    reader = SOURCES[name]
    assert reader is not None
    with user_code(f"data source {name!r}"):
        found = reader(folder, size)
    if not isinstance(found, LabelledImages):
        raise DataError(
            f"data source {name!r}: must return LabelledImages, but returned {type(found).__name__}"
        )
    for split in ("train", "test"):
        images, labels = getattr(found, f"{split}_images"), getattr(found, f"{split}_labels")
        if not all(
            isinstance(part, Tensor) and part.device.type == "cpu" for part in (images, labels)
        ):
            raise DataError(
                f"data source {name!r}: {split}_images and {split}_labels must be tensors "
                "on the CPU"
            )
        shape = found.train_images.shape[1:]
        fault = _fault(images, labels, len(found.class_names), shape, size)
        if fault is not None:
            raise DataError(f"data source {name!r}: {split}_{fault}")
    return found


def _fault(
    images: Tensor, labels: Tensor, classes: int, shape: tuple[int, ...], size: int | None
) -> str | None:
    """The rule that a split breaks, or None."""
    kind = str(images.dtype).removeprefix("torch.")
    if images.ndim != 4 or kind != "uint8" or not len(images):
        return f"images: must be (N, C, H, W) uint8, N > 0, but are {tuple(images.shape)} {kind}"
    if images.shape[1:] != shape:
        given = tuple(images.shape[1:])
        return f"images: must be {tuple(shape)} like the training images, but are {given}"
    if size is not None and images.shape[2:] != (size, size):
        height, width = images.shape[2:]
        return f"images: must be {size} x {size}, the requested size, but are {height} x {width}"
    if labels.shape != images.shape[:1] or labels.is_floating_point():
        return f"labels: must be ({len(images)},) whole numbers, but are {tuple(labels.shape)}"
    if int(labels.min()) < 0 or int(labels.max()) >= classes:
        return f"labels: must be from 0 to {classes - 1}, one for each class name"
    return None
