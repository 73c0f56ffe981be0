from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ir2search.data.folder import read_folder
from ir2search.errors import DataError

Pictures = Any


def check_pixels(tensors: dict[str, Any], pictures: Pictures) -> None:
    for split, images in pictures.images.items():
        found = tensors[f"{split}_images"].permute(0, 2, 3, 1).numpy()
        np.testing.assert_array_equal(found, images)
        np.testing.assert_array_equal(tensors[f"{split}_labels"].numpy(), pictures.labels[split])


@pytest.mark.parametrize(
    ("place", "options"),
    [
        (".", {}),
        ("data", {}),
        (".", {"column": "image", "shards": 3}),
        (".", {"plain": True}),
    ],
)
def test_parquet_files_of_the_hub_are_read(
    pictures: Pictures, tmp_path: Path, place: str, options: dict[str, Any]
) -> None:
    pictures.parquet(tmp_path / place, **options)
    raw = read_folder(tmp_path, None)
    check_pixels(raw.tensors(), pictures)
    assert raw.class_names == ("cat", "dog", "emu")


def test_parquet_without_class_names_counts_its_classes(pictures: Pictures, tmp_path: Path) -> None:
    raw = read_folder(pictures.parquet(tmp_path, names=False), None)
    check_pixels(raw.tensors(), pictures)
    assert raw.class_names == ("0", "1", "2")


def truncate(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-60])


def rewrite(folder: Path, change: Callable[[pa.Table], pa.Table]) -> None:
    file = folder / "train-00000-of-00001.parquet"
    table = pq.read_table(file)
    pq.write_table(change(table), file)


def labelled(values: list[Any]) -> Callable[[pa.Table], pa.Table]:
    def change(table: pa.Table) -> pa.Table:
        labels = [*values, *table["label"].to_pylist()[len(values) :]]
        return table.set_column(1, "label", pa.array(labels))

    return change


def first_image(value: Any) -> Callable[[pa.Table], pa.Table]:
    def change(table: pa.Table) -> pa.Table:
        cells = [{"bytes": value, "path": None}, *table["img"].to_pylist()[1:]]
        return table.set_column(0, "img", pa.array(cells))

    return change


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (
            lambda d: truncate(d / "train-00000-of-00001.parquet"),
            "train-00000.*: cannot be read as a parquet",
        ),
        (lambda d: (d / "test-00000-of-00001.parquet").unlink(), "no test images"),
        (lambda d: (d / "train-00000-of-00001.parquet").unlink(), "no training images"),
        (
            lambda d: rewrite(d, lambda t: t.drop(["img"])),
            "train-.* has no column `img` or `image`, only label; set `image` in",
        ),
        (
            lambda d: rewrite(d, lambda t: t.drop(["label"])),
            "train-.* has no column `label` or `labels`, only img; set",
        ),
        (lambda d: rewrite(d, lambda t: t.slice(0, 0)), "train-.*: the table has no rows"),
        (lambda d: rewrite(d, labelled([9])), "train-.*: row 0: the label must be from 0 to 2"),
        (lambda d: rewrite(d, labelled([0, -1])), "row 1: the label must be from 0 to 2"),
        (lambda d: rewrite(d, labelled([0, 1, None])), "row 2: the label .* is None"),
        (lambda d: rewrite(d, first_image(b"no")), "train-.*: row 0: cannot be decoded"),
        (lambda d: rewrite(d, first_image(None)), "train-.*: row 0: cannot be decoded"),
        (
            lambda d: rewrite(d, lambda t: t.set_column(1, "label", pa.array(["x"] * len(t)))),
            "column `label` must hold whole numbers",
        ),
        (
            lambda d: rewrite(d, lambda t: t.set_column(0, "img", t["label"])),
            "column `img` must hold encoded images",
        ),
    ],
)
def test_a_damaged_table_is_named_with_its_fault(
    pictures: Pictures, tmp_path: Path, damage: Callable[[Path], None], message: str
) -> None:
    damage(pictures.parquet(tmp_path))
    with pytest.raises(DataError, match=message):
        read_folder(tmp_path, None)


@pytest.mark.parametrize("label", [None, 10**12])
def test_labels_without_class_names_are_checked(
    pictures: Pictures, tmp_path: Path, label: int | None
) -> None:
    pictures.parquet(tmp_path, names=False)
    column = pa.array([label] * 12, pa.int64())
    rewrite(tmp_path, lambda t: t.set_column(1, "label", column))
    with pytest.raises(DataError, match=r"train-.*: row 0: the label must be from 0 to \d+, but"):
        read_folder(tmp_path, None)
