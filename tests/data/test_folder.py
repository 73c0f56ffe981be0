from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image
from readers import read_folder

from ir2search.data.cifar import CLASSES
from ir2search.data.folder import find_source
from ir2search.data.listing import Columns
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


@pytest.mark.parametrize("size", [12, 16, 40])
def test_cifar10_binary_batches_are_resized_as_image_files_are(tmp_path: Path, size: int) -> None:
    record = np.random.default_rng(0).integers(0, 256, 3073, dtype=np.uint8)
    record[0] = 7
    for name in ("data_batch_1.bin", "test_batch.bin"):
        record.tofile(tmp_path / name)
    found = read_folder(tmp_path, size).test_images[0].permute(1, 2, 0).numpy()
    picture = Image.fromarray(record[1:].reshape(3, 32, 32).transpose(1, 2, 0).copy())
    expected = np.asarray(picture.resize((size, size), Image.Resampling.BILINEAR))
    assert np.abs(found.astype(int) - expected.astype(int)).max() <= 1  # Pillow rounds twice


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
    with pytest.raises(DataError, match=r"notes.txt: is a file; give the folder"):
        read_folder(tmp_path / "notes.txt", None)
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


def picture(file: Path, shade: int = 0, side: int = 8) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (side, side), (shade,) * 3).save(file, "PNG")


def two_splits(folder: Path, names: tuple[str, ...] = ("a", "b")) -> Path:
    """One picture for each class in both splits; its shade is the place of the class."""
    for split in ("train", "test"):
        for shade, name in enumerate(names):
            picture(folder / split / name / "0.png", shade)
    return folder


@pytest.mark.parametrize("train", ["train", "Train", "training"])
@pytest.mark.parametrize("test", ["test", "Test", "val", "valid", "validation"])
def test_splits_have_the_names_that_people_give_them(tmp_path: Path, train: str, test: str) -> None:
    two_splits(tmp_path)
    (tmp_path / "train").rename(tmp_path / train)
    (tmp_path / "test").rename(tmp_path / test)
    assert read_folder(tmp_path, None).class_names == ("a", "b")


def test_two_folders_of_one_split_are_refused(tmp_path: Path) -> None:
    two_splits(tmp_path)
    picture(tmp_path / "Train" / "a" / "0.png")
    if len(list(tmp_path.iterdir())) < 3:
        pytest.skip("needs a file system that tells Train from train")
    with pytest.raises(DataError, match="has both Train and train; remove or rename one"):
        read_folder(tmp_path, None)


def test_hidden_entries_are_no_images_and_no_classes(tmp_path: Path) -> None:
    two_splits(tmp_path)
    for name in ("train/.ipynb_checkpoints/0-checkpoint.png", "train/a/._0.png", ".git/x.png"):
        picture(tmp_path / name)
    (tmp_path / "train" / "a" / "Thumbs.db").write_bytes(b"x")
    (tmp_path / "train" / ".DS_Store").write_bytes(b"x")
    found = find_source(tmp_path)
    assert found.warnings == []
    raw = found.read(None)
    assert raw.class_names == ("a", "b")
    assert len(raw.train_images) == 2


def test_images_in_deeper_folders_are_used_and_others_are_counted(tmp_path: Path) -> None:
    two_splits(tmp_path)
    picture(tmp_path / "train" / "a" / "deep" / "deeper" / "1.png")
    picture(tmp_path / "train" / "loose.png")
    (tmp_path / "train" / "a" / "notes.txt").write_text("x")
    (tmp_path / "train" / "b" / "1.psd").write_bytes(b"x")
    (tmp_path / "train" / "empty").mkdir()
    found = find_source(tmp_path)
    place = tmp_path / "train"
    assert found.warnings == [
        f"{place}: images in deeper folders belong to the class of the first folder (1)",
        f"{place}: skipped '.txt' files (1), '.psd' files (1), folders without images (1), "
        "files outside of the class folders (1)",
    ]
    assert found.read(None).train_labels.tolist() == [0, 0, 1]


def test_a_link_to_a_folder_above_is_not_followed(tmp_path: Path) -> None:
    two_splits(tmp_path)
    (tmp_path / "train" / "a" / "loop").symlink_to(tmp_path / "train" / "a")
    assert len(read_folder(tmp_path, None).train_images) == 2


def test_an_unreadable_folder_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    two_splits(tmp_path)
    scandir = os.scandir

    def refusing(path: Path) -> Any:
        if str(path).endswith("train/b"):
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refusing)
    with pytest.raises(DataError, match="b: cannot be read: Permission denied; change"):
        read_folder(tmp_path, None)


def test_composed_and_decomposed_accents_are_one_class(tmp_path: Path) -> None:
    two_splits(tmp_path, ("a", "caf\u00e9"))
    picture(tmp_path / "train" / "cafe\u0301" / "1.png", 1)
    raw = read_folder(tmp_path, None)
    assert raw.class_names == ("a", "caf\u00e9")
    assert raw.train_labels.tolist() == raw.train_images[:, 0, 0, 0].tolist() == [0, 1, 1]


@pytest.mark.parametrize("name", [b"train/caf\xe9/0.png", b"train/a/caf\xe9.png"])
def test_a_name_that_is_not_utf8_is_refused(tmp_path: Path, name: bytes) -> None:
    two_splits(tmp_path)
    picture(Path(os.fsdecode(os.fsencode(tmp_path) + b"/" + name)))
    with pytest.raises(
        DataError, match=r"the name 'caf\\udce9.*' is not UTF-8; rename it"
    ) as error:
        read_folder(tmp_path, None)
    str(error.value).encode()


def test_classes_that_are_numbers_are_in_the_order_of_numbers(tmp_path: Path) -> None:
    names = tuple(str(number) for number in range(12))
    raw = read_folder(two_splits(tmp_path, names), None)
    assert raw.class_names == names
    assert raw.test_labels.tolist() == raw.test_images[:, 0, 0, 0].tolist() == list(range(12))


def test_classes_of_numbers_and_words_are_in_the_order_of_text(tmp_path: Path) -> None:
    raw = read_folder(two_splits(tmp_path, ("10", "9", "x")), None)
    assert raw.class_names == ("10", "9", "x")


def test_tiny_imagenet_has_its_validation_classes_in_a_table(tmp_path: Path) -> None:
    for shade, name in enumerate(("n01443537", "n01629819")):
        for number in range(2):
            picture(tmp_path / "train" / name / "images" / f"{name}_{number}.JPEG", shade)
        (tmp_path / "train" / name / f"{name}_boxes.txt").write_text("0\t0\t9\t9\n")
    lines = ["val_0.JPEG\tn01629819\t0\t0\t9\t9", "val_1.JPEG\tn01443537\t0\t0\t9\t9"]
    for number, shade in enumerate((1, 0)):
        picture(tmp_path / "val" / "images" / f"val_{number}.JPEG", shade)
    picture(tmp_path / "test" / "images" / "test_0.JPEG")
    (tmp_path / "val" / "val_annotations.txt").write_text("\n".join(lines))
    found = find_source(tmp_path)
    raw = found.read(None)
    assert raw.class_names == ("n01443537", "n01629819")
    assert raw.train_labels.tolist() == raw.train_images[:, 0, 0, 0].tolist() == [0, 0, 1, 1]
    assert raw.test_labels.tolist() == raw.test_images[:, 0, 0, 0].tolist() == [0, 1]
    assert found.warnings[-1] == (
        f"{tmp_path / 'test'}: is not used, its folders are not those of the training classes"
    )


def test_a_damaged_table_of_tiny_imagenet_is_named(tmp_path: Path) -> None:
    two_splits(tmp_path)
    (tmp_path / "test" / "val_annotations.txt").write_text("0.png a\n")
    with pytest.raises(DataError, match=r"val_annotations\.txt: must have a file name and a class"):
        read_folder(tmp_path, None)


def test_images_may_lie_in_one_subfolder(tmp_path: Path) -> None:
    two_splits(tmp_path / "data")
    (tmp_path / "docs").mkdir()
    assert len(read_folder(tmp_path, None).train_images) == 2
    two_splits(tmp_path / "more")
    with pytest.raises(DataError, match="several subfolders have images: data, more; give one"):
        read_folder(tmp_path, None)


@pytest.mark.parametrize("files", [("data_batch_1",), ("train", "test", "meta")])
def test_the_pickles_of_torchvision_are_refused(tmp_path: Path, files: tuple[str, ...]) -> None:
    for name in files:
        place = tmp_path / "cifar-10-batches-py" / name
        place.parent.mkdir(exist_ok=True)
        place.write_bytes(b"pickle")
    with pytest.raises(DataError, match=r"cifar-10-batches-py: contains pickled .* or parquet"):
        read_folder(tmp_path, None)


def test_a_second_test_split_is_said_to_be_unused(tmp_path: Path) -> None:
    two_splits(tmp_path)
    picture(tmp_path / "val" / "a" / "0.png")
    assert find_source(tmp_path).warnings == [
        f"{tmp_path / 'val'}: is not used, another folder is the split"
    ]


def test_columns_need_parquet_files(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="has image files, which have no columns; remove `image`"):
        read_folder(two_splits(tmp_path), None, Columns(label="fine_label"))
