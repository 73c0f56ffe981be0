from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

from ir2search.data.cifar import CLASSES
from ir2search.data.folder import read_folder
from ir2search.errors import DataError

Pictures = Any


@pytest.mark.parametrize("test", ["test", "val"])
def test_an_image_folder_has_the_same_images_class_by_class(
    pictures: Pictures, tmp_path: Path, test: str
) -> None:
    raw = read_folder(pictures.folders(tmp_path, test), None)
    assert raw.class_names == ("cat", "dog", "emu")
    for split, images in pictures.images.items():
        order = np.argsort(pictures.labels[split], kind="stable")
        found = raw.tensors()[f"{split}_images"].permute(0, 2, 3, 1).numpy()
        np.testing.assert_array_equal(found, images[order])
        labels = raw.tensors()[f"{split}_labels"].numpy()
        np.testing.assert_array_equal(labels, pictures.labels[split][order])


def test_cifar10_binary_batches_are_read(tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    records = generator.integers(0, 256, (7, 3073), dtype=np.uint8)
    records[:, 0] %= 10
    records[:3].tofile(tmp_path / "data_batch_1.bin")
    records[3:5].tofile(tmp_path / "data_batch_2.bin")
    records[5:].tofile(tmp_path / "test_batch.bin")
    raw = read_folder(tmp_path, None)
    train = raw.train_images
    assert train.shape == (5, 3, 32, 32)
    # the format: label, then 1024 bytes of red, green, blue, each row by row
    assert int(train[4, 1, 2, 3]) == records[4, 1 + 1024 + 2 * 32 + 3]
    assert raw.test_labels.tolist() == records[5:, 0].tolist()
    assert raw.class_names == CLASSES
    assert read_folder(tmp_path, 16).test_images.shape == (2, 3, 16, 16)


def test_images_are_resized_to_the_given_size(tmp_path: Path) -> None:
    for split, side in (("train", 9), ("test", 5)):
        for label in ("a", "b"):
            (tmp_path / split / label).mkdir(parents=True)
            picture = np.full((side, side + 3), 120, np.uint8)
            Image.fromarray(picture, "L").save(tmp_path / split / label / "0.png")
    raw = read_folder(tmp_path, 6)
    for split in ("train", "test"):
        assert raw.tensors()[f"{split}_images"].shape == (2, 3, 6, 6)
        assert (raw.tensors()[f"{split}_images"] == 120).all(), "grey is the same in colour"


def test_real_cifar10_decodes_to_what_pillow_sees(cifar10_folder: Path, tmp_path: Path) -> None:
    import io

    for split in ("train", "test"):
        file = next(cifar10_folder.rglob(f"{split}-*.parquet"))
        rows = pq.read_table(file).slice(0, 50)
        pq.write_table(rows, tmp_path / f"{split}-0.parquet")
    raw = read_folder(tmp_path, None)
    assert raw.class_names == CLASSES
    for row, cell in enumerate(pq.read_table(tmp_path / "train-0.parquet")["img"].to_pylist()):
        with Image.open(io.BytesIO(cell["bytes"])) as image:
            expected = np.asarray(image.convert("RGB"))
        np.testing.assert_array_equal(raw.train_images[row].permute(1, 2, 0).numpy(), expected)


def truncate(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-60])


def test_a_missing_empty_or_pickled_folder_is_refused_with_advice(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="nowhere: no such folder; the data folder"):
        read_folder(tmp_path / "nowhere", None)
    with pytest.raises(DataError, match="the folder is empty; the data folder"):
        read_folder(tmp_path, None)
    (tmp_path / "notes.txt").write_text("no images")
    with pytest.raises(DataError, match=r"no images found; expected train-\*\.parquet"):
        read_folder(tmp_path, None)
    (tmp_path / "data_batch_1").write_bytes(b"pickle")
    with pytest.raises(DataError, match=r"pickled batches.* use the binary version"):
        read_folder(tmp_path, None)


def test_a_truncated_batch_is_named(tmp_path: Path) -> None:
    for name, size in (("data_batch_1.bin", 3073 * 2 - 1), ("test_batch.bin", 3073)):
        np.zeros(size, np.uint8).tofile(tmp_path / name)
    with pytest.raises(DataError, match=r"data_batch_1\.bin: 6145 bytes are not a multiple"):
        read_folder(tmp_path, None)


def test_a_truncated_image_file_is_named(pictures: Pictures, tmp_path: Path) -> None:
    pictures.folders(tmp_path)
    truncate(tmp_path / "train" / "dog" / "004.png")
    with pytest.raises(DataError, match=r"004\.png: cannot be decoded as an image"):
        read_folder(tmp_path, None)


def test_images_of_different_sizes_need_a_size(pictures: Pictures, tmp_path: Path) -> None:
    pictures.folders(tmp_path)
    Image.new("RGB", (5, 9)).save(tmp_path / "train" / "emu" / "005.png")
    with pytest.raises(DataError, match=r"005\.png: has 5 x 9 pixels, but the first .* 8 x 8; set"):
        read_folder(tmp_path, None)
    assert read_folder(tmp_path, 8).train_images.shape == (12, 3, 8, 8)


def test_a_class_without_training_images_is_named(pictures: Pictures, tmp_path: Path) -> None:
    pictures.folders(tmp_path)
    (tmp_path / "test" / "yak").mkdir()
    Image.new("RGB", (8, 8)).save(tmp_path / "test" / "yak" / "0.png")
    with pytest.raises(DataError, match="yak: the class has no training images"):
        read_folder(tmp_path, None)
