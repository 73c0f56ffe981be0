"""Where images come from, by the name that a study file gives."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ir2search.errors import DataError
from ir2search.extensions import Registry, user_code

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class LabelledImages:
    """A data set, decoded.

    Attributes:
        train_images: (N, C, H, W) uint8; a part of them ranks the candidates.
        train_labels: (N,) int64, from 0 on.
        test_images: as the others, read once at the end of a search.
        test_labels: likewise.
        class_names: in order of the labels.
    """

    train_images: Tensor
    train_labels: Tensor
    test_images: Tensor
    test_labels: Tensor
    class_names: tuple[str, ...]


Reader = Callable[[Path | None, int | None], LabelledImages]

# the package's own are read by `load_data` itself
SOURCES: Registry[Reader | None] = Registry("data source", {"digits": None, "folder": None})


def register_dataset(name: str) -> Callable[[Reader], Reader]:
    """Make a data set known: ``source = name`` in a study's ``[data]``.

    Decorates a function that reads it, from the folder (``path``, or ``--data``; None without one)
    and the ``size`` in pixels that is asked for (None for as they are) to `LabelledImages`. It is
    called in every process that trains, and has to give the same each time.

    Raises:
        StudyError: the name is taken.
    """

    def register(reader: Reader) -> Reader:
        SOURCES.register(name, reader)
        return reader

    return register


def read_registered(name: str, folder: Path | None, size: int | None) -> LabelledImages:
    """A registered data set, checked.

    Raises:
        StudyError: its function failed.
        DataError: what the function gave is no data set; the message says why.
    """
    from torch import Tensor

    reader = SOURCES[name]
    assert reader is not None
    with user_code(f"data source {name!r}"):
        found = reader(folder, size)
    if not isinstance(found, LabelledImages):
        raise DataError(
            f"data source {name!r}: must give LabelledImages, but gave {type(found).__name__}"
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
    """What is wrong with a split, if anything."""
    kind = str(images.dtype).removeprefix("torch.")
    if images.ndim != 4 or kind != "uint8" or not len(images):
        return f"images: must be (N, C, H, W) uint8, N > 0, but are {tuple(images.shape)} {kind}"
    if images.shape[1:] != shape:
        given = tuple(images.shape[1:])
        return f"images: must be {tuple(shape)} like those for training, but are {given}"
    if size is not None and images.shape[2:] != (size, size):
        height, width = images.shape[2:]
        return f"images: must be {size} x {size}, the size asked for, but are {height} x {width}"
    if labels.shape != images.shape[:1] or labels.is_floating_point():
        return f"labels: must be ({len(images)},) whole numbers, but are {tuple(labels.shape)}"
    if int(labels.min()) < 0 or int(labels.max()) >= classes:
        return f"labels: must be from 0 to {classes - 1}, one for each class name"
    return None
