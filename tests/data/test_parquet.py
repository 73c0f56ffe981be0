from __future__ import annotations

import io
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image
from readers import read_folder

from ir2search.data import parquet
from ir2search.data.folder import find_source
from ir2search.data.listing import Columns
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


def table(
    file: Path, labels: list[Any], names: list[str] | None = None, column: str = "label"
) -> None:
    """A table whose images have the shade of their row, and labels of the given classes."""
    cells = [{"bytes": png(row), "path": None} for row in range(len(labels))]
    made = pa.table({"image": cells, column: pa.array(labels, pa.int64())})
    if names is not None:
        features = {column: {"names": names, "_type": "ClassLabel"}}
        hub = json.dumps({"info": {"features": features}})
        made = made.replace_schema_metadata({"huggingface": hub})
    file.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(made, file)


def png(shade: int) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (4, 4), (shade,) * 3).save(file, "PNG")
    return file.getvalue()


def test_another_order_of_the_class_names_is_mapped_by_name(tmp_path: Path) -> None:
    table(tmp_path / "train-0.parquet", [0, 1, 2], ["cat", "dog", "emu"])
    table(tmp_path / "train-1.parquet", [0, 1, 2], ["dog", "cat", "emu"])
    table(tmp_path / "test.parquet", [0, 1], ["emu", "dog"])
    raw = read_folder(tmp_path, None)
    assert raw.class_names == ("cat", "dog", "emu")
    assert raw.train_labels.tolist() == [0, 1, 2, 1, 0, 2]
    assert raw.test_labels.tolist() == [2, 1]


def test_a_class_that_is_only_in_another_split_is_refused(tmp_path: Path) -> None:
    table(tmp_path / "train.parquet", [0, 1], ["cat", "dog"])
    table(tmp_path / "test.parquet", [1, 0], ["cat", "yak"])
    with pytest.raises(DataError, match=r"test\.parquet: row 0: the class 'yak' is not a class of"):
        read_folder(tmp_path, None)


@pytest.mark.parametrize("names", [None, ["cat", "dog", "emu"]])
def test_labels_may_count_from_1(tmp_path: Path, names: list[str] | None) -> None:
    table(tmp_path / "train.parquet", [1, 3, 2], names)
    table(tmp_path / "test.parquet", [3, 1], names)
    raw = read_folder(tmp_path, None)
    assert raw.class_names == tuple(names or ["1", "2", "3"])
    assert raw.train_labels.tolist() == [0, 2, 1]
    assert raw.test_labels.tolist() == [2, 0]
    table(tmp_path / "test.parquet", [3, 0], names)
    with pytest.raises(DataError, match=r"test\.parquet: row 1: the label must be from 1 to 3"):
        read_folder(tmp_path, None)


@pytest.mark.parametrize("labels", [[-1, -1], [None, None], "no column"])
def test_a_test_split_without_labels_is_passed_over(tmp_path: Path, labels: Any) -> None:
    table(tmp_path / "data" / "train-0.parquet", [0, 1])
    table(tmp_path / "data" / "validation-0.parquet", [1, 0, 0])
    test = tmp_path / "data" / "test-0.parquet"
    if labels == "no column":
        table(test, [0], column="id")
    else:
        table(test, labels)
    found = find_source(tmp_path)
    assert found.warnings == [
        f"{test}: the split `test` is not used: it has no labels; `validation` is the test split"
    ]
    assert found.read(None).test_labels.tolist() == [1, 0, 0]
    (tmp_path / "data" / "validation-0.parquet").unlink()
    with pytest.raises(DataError, match=r"test-0\.parquet: has no labels, and no other test split"):
        read_folder(tmp_path, None)


def test_files_of_a_split_may_lie_in_a_folder(tmp_path: Path) -> None:
    table(tmp_path / "default" / "train" / "0000.parquet", [0, 1])
    table(tmp_path / "default" / "test" / "0000.parquet", [1])
    assert read_folder(tmp_path, None).test_labels.tolist() == [1]


def test_columns_can_be_named(tmp_path: Path) -> None:
    for split in ("train", "test"):
        table(tmp_path / f"{split}.parquet", [0, 1], column="fine_label")
    with pytest.raises(DataError, match=r"only image, fine_label; set `label` in \[data\]"):
        read_folder(tmp_path, None)
    with pytest.raises(DataError, match="has no column `fine`, only image, fine_label"):
        read_folder(tmp_path, None, Columns(label="fine"))
    columns = Columns("image", "fine_label")
    assert find_source(tmp_path, columns).notes == [
        f"{tmp_path}: parquet files, train from train.parquet, test from test.parquet",
        "images are in the column `image`, labels in `fine_label`",
    ]
    assert read_folder(tmp_path, None, columns).train_labels.tolist() == [0, 1]


def test_paths_in_place_of_images_are_refused(tmp_path: Path) -> None:
    for split in ("train", "test"):
        table(tmp_path / f"{split}.parquet", [0, 1])
    cells = [{"bytes": None, "path": "/etc/hostname"}] * 2
    kind = pa.struct({"bytes": pa.binary(), "path": pa.string()})
    made = pa.table({"image": pa.array(cells, kind), "label": [0, 1]})
    pq.write_table(made, tmp_path / "train.parquet")
    with pytest.raises(DataError, match="row 0: holds a path, '/etc/hostname', and no image"):
        read_folder(tmp_path, None)
    pq.write_table(pa.table({"image": ["a.png"] * 2, "label": [0, 1]}), tmp_path / "train.parquet")
    with pytest.raises(DataError, match=r"`image` must hold encoded images .*, but holds string"):
        read_folder(tmp_path, None)


def test_a_cell_that_would_fill_the_memory_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A cell of zeros, and a small cell that is repeated: both are small in the file."""
    monkeypatch.setattr(parquet, "MAX_BYTES", 100_000)
    table(tmp_path / "test.parquet", [0, 1])
    zeros = pa.table({"image": [png(0), bytes(1_000_000)], "label": [0, 1]})
    again = pa.table({"image": [png(0) + os.urandom(5000)] * 400, "label": [0, 1] * 200})
    for made in (zeros, again):
        pq.write_table(made, tmp_path / "train.parquet", compression="gzip")
        with pytest.raises(DataError, match=r"`image` expands from .*B to .*B or more, as no"):
            read_folder(tmp_path, None)


def test_the_number_of_classes_is_limited(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parquet, "MAX_CLASSES", 2)
    for split in ("train", "test"):
        table(tmp_path / f"{split}.parquet", [0, 1, 2])
    with pytest.raises(DataError, match=r"train\.parquet: has 3 classes, but the limit is 2"):
        read_folder(tmp_path, None)


def test_class_names_nested_without_end_are_ignored(tmp_path: Path) -> None:
    for split in ("train", "test"):
        table(tmp_path / f"{split}.parquet", [0, 1])
        made = pq.read_table(tmp_path / f"{split}.parquet")
        made = made.replace_schema_metadata({"huggingface": "[" * 100_000})
        pq.write_table(made, tmp_path / f"{split}.parquet")
    assert read_folder(tmp_path, None).class_names == ("0", "1")


def test_more_rows_than_bytes_are_refused(tmp_path: Path) -> None:
    table(tmp_path / "test.parquet", [0, 1])
    made = pa.table({"image": pa.array([b""] * 200_000, pa.binary()), "label": [0] * 200_000})
    pq.write_table(made, tmp_path / "train.parquet", compression="zstd")
    with pytest.raises(DataError, match=r"has 200,000 rows in [\d,]+ bytes, as no images do"):
        read_folder(tmp_path, None)


def test_paths_of_a_fixed_size_are_not_read(pictures: Pictures, tmp_path: Path) -> None:
    """A missing path takes its whole size in memory, and nothing in the file."""
    folder = pictures.parquet(tmp_path)
    file = next(folder.rglob("train-*.parquet"))
    table = pq.read_table(file)
    cells = table["img"].combine_chunks()
    missing = pa.nulls(len(table), pa.binary(1 << 20))
    made = pa.StructArray.from_arrays([cells.field("bytes"), missing], ["bytes", "path"])
    pq.write_table(table.set_column(0, "img", made), file)
    assert parquet._open(file, Columns()).parts == ["img.bytes"]
    check_pixels(read_folder(folder, None).tensors(), pictures)
