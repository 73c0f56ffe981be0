"""The official CIFAR-10 binary batches: ``data_batch_*.bin`` and ``test_batch.bin``."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional

from ir2search.data.decode import checked_labels
from ir2search.data.listing import FolderSource, missing_split
from ir2search.data.sources import LabelledImages
from ir2search.errors import DataError

CLASSES = (
    "airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck",
)  # fmt: skip
RECORD = 1 + 3 * 32 * 32


def find_cifar(place: Path) -> FolderSource | None:
    """Look for binary batches in a folder.

    Raises:
        DataError: one of the splits is missing; or the folder has the batches as pickles.
    """
    files = {
        "train": sorted(place.glob("data_batch_*.bin")),
        "test": sorted(place.glob("test_batch.bin")),
    }
    if files["train"] and files["test"]:
        layout = "CIFAR-10's binary batches"
        return FolderSource(layout, files, [], [], partial(_read, files))
    for split, what in (("train", "training"), ("test", "test")):
        if not files[split] and any(files.values()):
            raise missing_split(place, what)
    _refuse_pickles(place)
    return None


def _refuse_pickles(place: Path) -> None:
    cifar100 = all((place / name).is_file() for name in ("train", "test", "meta"))
    if cifar100 or (place / "data_batch_1").is_file():
        raise DataError(
            f"{place}: contains pickled batches of CIFAR, which are not read because a pickle can "
            "run code; use the binary version of CIFAR-10 (data_batch_1.bin) or parquet files"
        )


def _read(splits: dict[str, list[Path]], size: int | None) -> LabelledImages:
    tensors = {}
    for split, files in splits.items():
        records = np.concatenate([_records(file) for file in files])
        images = torch.from_numpy(records[:, 1:].reshape(-1, 3, 32, 32))
        if size is not None and size != 32:
            # as Pillow resizes the images of all other sources
            resized = functional.interpolate(
                images.float(), (size, size), mode="bilinear", antialias=True
            )
            images = resized.round().to(torch.uint8)
        tensors[f"{split}_images"] = images
        labels = checked_labels(records[:, 0].tolist(), len(CLASSES), str(files[0]))
        tensors[f"{split}_labels"] = torch.tensor(labels)
    return LabelledImages(**tensors, class_names=CLASSES)


def _records(file: Path) -> np.ndarray:
    content = np.fromfile(file, dtype=np.uint8)
    if len(content) == 0 or len(content) % RECORD:
        raise DataError(
            f"{file}: {len(content)} bytes are not a multiple of a record's {RECORD} bytes; "
            "the file is truncated or is not a CIFAR-10 batch: replace it"
        )
    return content.reshape(-1, RECORD)
