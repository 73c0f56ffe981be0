"""Read a data folder in one of three layouts.

- parquet files, as on the Hugging Face hub: ``train-*.parquet`` and ``test-*.parquet`` (or
  ``validation-*``), in the folder or in its subfolder ``data``, with a column of encoded images and
  a column of labels;
- the official CIFAR-10 binary batches: ``data_batch_*.bin`` and ``test_batch.bin``;
- image files: ``train/<class>/*`` and ``test/<class>/*`` (or ``val``).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from ir2search.data.decode import checked_labels, decode
from ir2search.data.encoded import write_index
from ir2search.data.parquet import Splits, index_parquet, read_parquet
from ir2search.data.sources import LabelledImages
from ir2search.errors import DataError

TEST_NAMES = ("test", "val", "validation")
IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".gif", ".tif", ".tiff")
CIFAR_CLASSES = (
    "airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck",
)  # fmt: skip
CIFAR_RECORD = 1 + 3 * 32 * 32


def source_files(folder: Path) -> list[Path]:
    """List the files of a data folder, in the order in which `read_folder` reads them.

    Raises:
        DataError: the folder is missing, empty, or has an unknown layout.
    """
    splits = _find(folder)[1]
    return [*splits["train"], *splits["test"]]


def read_folder(folder: Path, size: int | None) -> LabelledImages:
    """Read all images of a data folder.

    Args:
        folder: the data folder.
        size: side in pixels to which images are resized; None keeps their size.

    Raises:
        DataError: the folder is missing, empty, or has an unknown layout; or a file is corrupt, or
            does not match the others.
    """
    layout, splits = _find(folder)
    return layout.read(splits, size)


def index_folder(folder: Path, targets: dict[str, Path]) -> None:
    """Write an index of a data folder's images for each split, see `EncodedImages`.

    Args:
        folder: the data folder.
        targets: the file to write for ``"train"`` and for ``"test"``.

    Raises:
        DataError: the folder is missing, empty, or has an unknown layout, or its layout cannot be
            streamed.
    """
    layout, splits = _find(folder)
    if layout.index is None:
        raise DataError(
            f"{folder}: CIFAR-10's binary batches cannot be streamed, and they fit in memory; "
            "remove `stream` from [data]"
        )
    layout.index(splits, targets)


@dataclass(frozen=True)
class _Layout:
    """One layout of data folders: functions that list, read and index the files of a split."""

    files: Callable[[Path, str], list[Path]]
    read: Callable[[Splits, int | None], LabelledImages]
    index: Callable[[Splits, dict[str, Path]], None] | None


def _find(folder: Path) -> tuple[_Layout, Splits]:
    if not folder.is_dir():
        raise DataError(f"{folder}: no such folder; the data folder must contain images")
    if not any(folder.iterdir()):
        raise DataError(f"{folder}: the folder is empty; the data folder must contain images")
    for layout in (
        _Layout(_parquet_files, read_parquet, index_parquet),
        _Layout(_binary_files, _read_binary, None),
        _Layout(_image_files, _read_images, _index_images),
    ):
        train = layout.files(folder, "train")
        test = next((found for name in TEST_NAMES if (found := layout.files(folder, name))), [])
        if train and test:
            return layout, {"train": train, "test": test}
        if train or test:
            missing = "test" if train else "training"
            raise DataError(f"{folder}: no {missing} images found; add that split")
    if (folder / "data_batch_1").exists():
        raise DataError(
            f"{folder}: contains CIFAR-10's pickled batches, which are not read because a pickle "
            "can run code; use the binary version (data_batch_1.bin)"
        )
    raise DataError(
        f"{folder}: no images found; expected train-*.parquet and test-*.parquet, "
        "data_batch_*.bin and test_batch.bin, or train/<class>/* and test/<class>/*"
    )


def _parquet_files(folder: Path, split: str) -> list[Path]:
    return sorted(
        path
        for place in (folder, folder / "data")
        for pattern in (f"{split}-*.parquet", f"{split}.parquet")
        for path in place.glob(pattern)
    )


def _binary_files(folder: Path, split: str) -> list[Path]:
    names = {"train": "data_batch_*.bin", "test": "test_batch.bin"}
    return sorted(folder.glob(names[split])) if split in names else []


def _image_files(folder: Path, split: str) -> list[Path]:
    return sorted(
        path for path in (folder / split).glob("*/*") if path.suffix.lower() in IMAGE_SUFFIXES
    )


def _read_binary(splits: Splits, size: int | None) -> LabelledImages:
    from torch.nn import functional

    tensors = {}
    for split, files in splits.items():
        records = np.concatenate([_binary_records(file) for file in files])
        images = torch.from_numpy(records[:, 1:].reshape(-1, 3, 32, 32))
        if size is not None and size != 32:
            images = functional.interpolate(images.float(), (size, size), mode="bilinear")
            images = images.round().to(torch.uint8)
        tensors[f"{split}_images"] = images
        tensors[f"{split}_labels"] = checked_labels(records[:, 0].tolist(), 10, str(files[0]))
    return LabelledImages(**tensors, class_names=CIFAR_CLASSES)


def _binary_records(file: Path) -> np.ndarray:
    content = np.fromfile(file, dtype=np.uint8)
    if len(content) == 0 or len(content) % CIFAR_RECORD:
        raise DataError(
            f"{file}: {len(content)} bytes are not a multiple of a record's {CIFAR_RECORD} bytes; "
            "the file is truncated or is not a CIFAR-10 batch"
        )
    return content.reshape(-1, CIFAR_RECORD)


def _read_images(splits: Splits, size: int | None) -> LabelledImages:
    class_names, labels = _folder_labels(splits)
    tensors = {}
    for split, files in splits.items():
        tensors[f"{split}_images"] = _decode_files(files, size)
        tensors[f"{split}_labels"] = torch.tensor(labels[split])
    return LabelledImages(**tensors, class_names=tuple(class_names))


def _index_images(splits: Splits, targets: dict[str, Path]) -> None:
    class_names, labels = _folder_labels(splits)
    for split, files in splits.items():
        rows = ((str(path.absolute()), None) for path in files)
        write_index(targets[split], rows, labels[split], class_names)


def _folder_labels(splits: Splits) -> tuple[list[str], dict[str, list[int]]]:
    """Names of the classes, from the folders of the training images, and labels by split."""
    class_names = sorted({path.parent.name for path in splits["train"]})
    number = {name: label for label, name in enumerate(class_names)}
    for path in splits["test"]:
        if path.parent.name not in number:
            raise DataError(
                f"{path.parent}: the class has no training images; add some, or remove the class"
            )
    return class_names, {
        split: [number[path.parent.name] for path in files] for split, files in splits.items()
    }


def _decode_files(files: list[Path], size: int | None) -> torch.Tensor:
    return decode(
        len(files),
        lambda index: files[index].read_bytes(),
        lambda index: str(files[index]),
        size,
    )
