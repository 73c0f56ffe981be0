"""A data folder's images and labels by split, before the images are decoded."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import torch

from ir2search.data.decode import decode
from ir2search.data.encoded import Row, write_index
from ir2search.data.sources import LabelledImages
from ir2search.errors import DataError

MAX_CLASSES = 100_000
MAX_IMAGES = 50_000_000  # of one split

# Names of splits, in lower case. The first test split that has labels is used.
TRAIN_NAMES = ("train", "training")
TEST_NAMES = ("test", "testing", "val", "valid", "validation", "eval")


@dataclass(frozen=True)
class Columns:
    """Names of the columns of parquet files; None for the usual names."""

    image: str | None = None
    label: str | None = None


@dataclass(frozen=True)
class Part:
    """One split.

    Attributes:
        rows: iterates over the images; can be called again.
        labels: label of each image, from 0.
    """

    rows: Callable[[], Iterator[Row]]
    labels: list[int]


@dataclass(frozen=True)
class Listing:
    """The images of a folder.

    Attributes:
        parts: ``"train"`` and ``"test"``.
        class_names: names of the classes, in the order of the labels.
        in_files: whether the images are files of their own.
    """

    parts: dict[str, Part]
    class_names: list[str]
    in_files: bool

    def read(self, size: int | None) -> LabelledImages:
        """Decode all images, resized to ``size`` pixels a side; None keeps their size.

        Raises:
            DataError: an image cannot be decoded, or has another size than the first one.
        """
        tensors = {}
        for split, part in self.parts.items():
            tensors[f"{split}_images"] = decode(part.rows(), len(part.labels), size)
            tensors[f"{split}_labels"] = torch.tensor(part.labels, dtype=torch.int64)
        return LabelledImages(**tensors, class_names=tuple(self.class_names))

    def index(self, targets: dict[str, Path]) -> None:
        """Write the index of each split, see `EncodedImages`, to its file in ``targets``."""
        for split, part in self.parts.items():
            write_index(targets[split], part.rows(), part.labels, self.class_names, self.in_files)


@dataclass(frozen=True)
class FolderSource:
    """What was found in a data folder.

    Attributes:
        layout: the layout in words, ``"parquet files"``.
        files: the files of ``"train"`` and ``"test"``, in the order in which they are read.
        notes: what is read from where, one sentence each.
        warnings: what is not used, or used in an unusual way, one sentence each.
        read: reads all images, with the size in pixels to which they are resized.
        listing: lists the images, to stream them; None if the layout cannot be streamed.
    """

    layout: str
    files: dict[str, list[Path]]
    notes: list[str]
    warnings: list[str]
    read: Callable[[int | None], LabelledImages]
    listing: Callable[[], Listing] | None = None


def check_count(name: str, number: int, what: str, limit: int) -> None:
    """Check the number of classes or images.

    Raises:
        DataError: the number is above the limit.
    """
    if number > limit:
        raise DataError(f"{name}: has {number:,} {what}, but the limit is {limit:,}; use fewer")


def missing_split(place: Path, what: str) -> DataError:
    """The error for a folder without one of the two splits; ``what`` is "test" or "training"."""
    return DataError(f"{place}: no {what} images found; add that split")
