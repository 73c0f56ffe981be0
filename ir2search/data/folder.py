"""Read a folder of images in one of three layouts.

- parquet, as the Hugging Face hub has it: ``train-*.parquet`` and ``test-*.parquet`` (or
  ``validation-*``), also in a subfolder ``data``, with an image column of encoded bytes and a
  label column;
- the official CIFAR-10 binary batches: ``data_batch_*.bin`` and ``test_batch.bin``;
- an image folder: ``train/<class>/*`` and ``test/<class>/*`` (or ``val``).
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ir2search.data.decode import RawImages, checked_labels, decode
from ir2search.errors import DataError

TEST_NAMES = ("test", "val", "validation")
IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".gif", ".tif", ".tiff")
CIFAR_CLASSES = (
    "airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck",
)  # fmt: skip
CIFAR_RECORD = 1 + 3 * 32 * 32


def source_files(folder: Path) -> list[Path]:
    """The files of ``folder`` that `read_folder` would read, in order.

    Raises:
        DataError: the folder is missing, empty, or of no known layout.
    """
    splits = _find(folder)[1]
    return [*splits["train"], *splits["test"]]


def read_folder(folder: Path, size: int | None) -> RawImages:
    """Decode all images of ``folder``, resized to ``size`` x ``size`` where that is given.

    Raises:
        DataError: as `source_files`; or a file that is corrupt or does not fit the others.
    """
    read, splits = _find(folder)
    return read(folder, splits, size)


_Splits = dict[str, list[Path]]
_Reader = Callable[[Path, _Splits, int | None], RawImages]


def _find(folder: Path) -> tuple[_Reader, _Splits]:
    if not folder.is_dir():
        raise DataError(f"{folder}: no such folder; give --data a folder of images")
    if not any(folder.iterdir()):
        raise DataError(f"{folder}: the folder is empty; give --data a folder of images")
    layouts: list[tuple[_Reader, Callable[[str], list[Path]]]] = [
        (_read_parquet, lambda split: _parquet_files(folder, split)),
        (_read_binary, lambda split: _binary_files(folder, split)),
        (_read_images, lambda split: _image_files(folder, split)),
    ]
    for read, files in layouts:
        train = files("train")
        test = next((found for name in TEST_NAMES if (found := files(name))), [])
        if train and test:
            return read, {"train": train, "test": test}
        if train or test:
            missing = "test" if train else "training"
            raise DataError(f"{folder}: there are no {missing} images; add that split")
    if (folder / "data_batch_1").exists():
        raise DataError(
            f"{folder}: these are CIFAR-10's pickled batches, which are not read because a pickle "
            "can run code; take the binary version (data_batch_1.bin)"
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


def _read_parquet(folder: Path, splits: _Splits, size: int | None) -> RawImages:
    tensors = {}
    class_names: list[str] | None = None
    for split, files in splits.items():
        encoded: list[bytes | None] = []
        labels: list[int | None] = []
        origin: list[tuple[Path, int]] = []
        for file in files:
            images, file_labels, names = _parquet_columns(file)
            class_names = class_names or names
            encoded += images
            labels += file_labels
            origin += [(file, row) for row in range(len(images))]
        if not encoded:
            raise DataError(f"{files[0]}: the table has no rows; add images")
        if class_names is None:
            highest = max((label for label in labels if label is not None), default=0)
            # no more classes than images: a stray label is then found to be out of range
            class_names = [str(label) for label in range(min(highest + 1, len(labels)))]
        tensors[f"{split}_images"] = _decode_rows(encoded, origin, size)
        tensors[f"{split}_labels"] = checked_labels(labels, len(class_names), str(files[0]))
    return RawImages(tensors, class_names or [])


def _decode_rows(
    encoded: list[bytes | None], origin: list[tuple[Path, int]], size: int | None
) -> torch.Tensor:
    return decode(
        len(encoded),
        lambda index: encoded[index] or b"",
        lambda index: f"{origin[index][0]}: row {origin[index][1]}",
        size,
    )


def _parquet_columns(file: Path) -> tuple[list[bytes | None], list[int | None], list[str] | None]:
    """Encoded images, labels and, where the file knows them, class names."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(file)
    except (pa.ArrowException, OSError) as error:
        reason = str(error).splitlines()[0]
        raise DataError(f"{file}: not a parquet file that can be read ({reason})") from None
    images = next((name for name in ("img", "image") if name in table.column_names), None)
    labels = next((name for name in ("label", "labels") if name in table.column_names), None)
    if images is None or labels is None:
        raise DataError(
            f"{file}: needs a column `img` or `image` and a column `label`, "
            f"but has {', '.join(table.column_names)}"
        )
    if not pa.types.is_integer(table.schema.field(labels).type):
        raise DataError(f"{file}: column `{labels}` must hold whole numbers")
    column = table[images]
    if pa.types.is_struct(column.type) and column.type.get_field_index("bytes") >= 0:
        column = pa.chunked_array([c.field("bytes") for c in column.chunks], pa.binary())
    if not pa.types.is_binary(column.type):
        raise DataError(f"{file}: column `{images}` must hold encoded images (bytes)")
    return column.to_pylist(), table[labels].to_pylist(), _class_names(table, labels)


def _class_names(table: Any, column: str) -> list[str] | None:
    """Class names from the hub's metadata of the table."""
    try:
        features = json.loads(table.schema.metadata[b"huggingface"])["info"]["features"]
        return [str(name) for name in features[column]["names"]]
    except (TypeError, KeyError, ValueError):
        return None


def _read_binary(folder: Path, splits: _Splits, size: int | None) -> RawImages:
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
    return RawImages(tensors, list(CIFAR_CLASSES))


def _binary_records(file: Path) -> np.ndarray:
    content = np.fromfile(file, dtype=np.uint8)
    if len(content) == 0 or len(content) % CIFAR_RECORD:
        raise DataError(
            f"{file}: {len(content)} bytes are no whole number of {CIFAR_RECORD}-byte records; "
            "the file is cut short or not a CIFAR-10 batch"
        )
    return content.reshape(-1, CIFAR_RECORD)


def _read_images(folder: Path, splits: _Splits, size: int | None) -> RawImages:
    class_names = sorted({path.parent.name for path in splits["train"]})
    tensors = {}
    for split, files in splits.items():
        for path in files:
            if path.parent.name not in class_names:
                raise DataError(f"{path.parent}: a class without training images; add or remove it")
        tensors[f"{split}_images"] = _decode_files(files, size)
        labels = [class_names.index(path.parent.name) for path in files]
        tensors[f"{split}_labels"] = torch.tensor(labels)
    return RawImages(tensors, class_names)


def _decode_files(files: list[Path], size: int | None) -> torch.Tensor:
    return decode(
        len(files),
        lambda index: files[index].read_bytes(),
        lambda index: str(files[index]),
        size,
    )
