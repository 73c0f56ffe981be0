from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from safetensors.torch import load_file

from ir2search.data import DataConfig, ImageData, dataset, load_data
from ir2search.errors import DataError

Pictures = Any


def load(tmp_path: Path, seed: int = 0, **options: Any) -> ImageData:
    return load_data(DataConfig(**options), None, tmp_path / "cache", seed)


def keys(images: torch.Tensor) -> list[bytes]:
    return [image.numpy().tobytes() for image in images]


def test_the_validation_split_is_stratified_seeded_and_disjoint(tmp_path: Path) -> None:
    data = load(tmp_path, validation=0.25)
    assert len(data.train) + len(data.validation) == 1437
    share = np.bincount(data.validation.labels) / (
        np.bincount(data.validation.labels) + np.bincount(data.train.labels)
    )
    np.testing.assert_allclose(share, 0.25, atol=0.005)
    assert torch.equal(data.validation.images, load(tmp_path, validation=0.25).validation.images)
    other = load(tmp_path, seed=1, validation=0.25)
    assert not torch.equal(data.validation.images, other.validation.images)
    whole = sorted(keys(data.train.images) + keys(data.validation.images))
    assert whole == sorted(keys(other.train.images) + keys(other.validation.images))


@pytest.mark.parametrize("stream", [False, True])
def test_the_first_images_of_a_folder_with_a_folder_for_each_class_are_of_all_classes(
    picture_set: type[Pictures], tmp_path: Path, stream: bool
) -> None:
    folder = picture_set(train=120).folders(tmp_path / "images")
    config = DataConfig(source="folder", size=8, stream=stream, validation=0.3)
    data = load_data(config, folder, tmp_path / "cache", 0)
    for split in (data.train, data.validation):
        assert split.first(12).labels.unique().tolist() == [0, 1, 2]
        assert split.labels.bincount().tolist() == [len(split) // 3] * 3
    again = load_data(config, folder, tmp_path / "cache", 0)
    assert torch.equal(again.train.labels, data.train.labels)


def test_images_that_are_not_sorted_by_class_stay_in_the_order_of_their_files(
    pictures: Pictures, tmp_path: Path
) -> None:
    folder = pictures.parquet(tmp_path / "images")
    data = load_data(DataConfig(source="folder", validation=0.3), folder, tmp_path / "cache", 0)
    written = [image.transpose(2, 0, 1).tobytes() for image in pictures.images["train"]]
    for split in (data.train, data.validation):
        places = [written.index(key) for key in keys(split.images)]
        assert places == sorted(places)


def test_normalised_training_images_have_mean_zero_and_deviation_one(
    pictures: Pictures, tmp_path: Path
) -> None:
    folder = pictures.parquet(tmp_path / "images")
    data = load_data(DataConfig(source="folder", validation=0.3), folder, tmp_path / "cache", 0)
    pixels = data.train.images.double() / 255
    np.testing.assert_allclose(data.mean, pixels.mean(dim=(0, 2, 3)), rtol=1e-12)
    np.testing.assert_allclose(data.std, pixels.std(dim=(0, 2, 3), unbiased=False), rtol=1e-9)
    normal = data.normalise(data.train.images)
    assert normal.dtype == torch.float32
    torch.testing.assert_close(normal.mean(dim=(0, 2, 3)), torch.zeros(3), atol=1e-5, rtol=0)


def test_a_constant_channel_can_be_normalised(tmp_path: Path, pictures: Pictures) -> None:
    for images in pictures.images.values():
        images[..., 1] = 77
    folder = pictures.parquet(tmp_path / "images")
    data = load_data(DataConfig(source="folder", validation=0.3), folder, tmp_path / "cache", 0)
    assert data.normalise(data.train.images).isfinite().all()


def test_equal_images_in_other_folders_have_equal_fingerprints(
    pictures: Pictures, tmp_path: Path
) -> None:
    def fingerprint(folder: Path, seed: int = 0, share: float = 0.3) -> str:
        config = DataConfig(source="folder", path=str(folder), validation=share)
        return load_data(config, None, tmp_path / "cache", seed).fingerprint

    one, other = (pictures.parquet(tmp_path / name) for name in ("one", "other"))
    original = fingerprint(one)
    assert fingerprint(other) == original
    assert fingerprint(one, seed=1) != original
    assert fingerprint(one, share=0.4) != original
    pictures.images["test"][0, 0, 0, 0] ^= 1
    assert fingerprint(pictures.parquet(tmp_path / "changed")) != original


def test_a_file_that_changes_is_decoded_again(pictures: Pictures, tmp_path: Path) -> None:
    config = DataConfig(source="folder", validation=0.3)
    folder = pictures.parquet(tmp_path / "images")
    before = load_data(config, folder, tmp_path / "cache", 0)
    pictures.images["train"][:] = 255 - pictures.images["train"]
    after = load_data(config, pictures.parquet(tmp_path / "images"), tmp_path / "cache", 0)
    assert torch.equal(after.train.images, 255 - before.train.images)


def test_images_are_decoded_once_and_a_damaged_cache_is_replaced(tmp_path: Path) -> None:
    first = load(tmp_path, size=8)
    (file,) = (tmp_path / "cache").iterdir()
    written = file.stat().st_mtime_ns
    load(tmp_path, size=8)
    assert file.stat().st_mtime_ns == written
    assert set(load_file(file)) == {
        f"{split}_{kind}" for split in ("train", "test") for kind in ("images", "labels")
    }
    file.write_bytes(file.read_bytes()[:1000])
    assert torch.equal(load(tmp_path, size=8).train.images, first.train.images)


def test_a_failure_leaves_nothing_in_the_cache(pictures: Pictures, tmp_path: Path) -> None:
    folder = pictures.folders(tmp_path / "images")
    (folder / "test" / "cat" / "000.png").write_bytes(b"damaged")
    with pytest.raises(DataError):
        load_data(DataConfig(source="folder"), folder, tmp_path / "cache", 0)
    assert not list((tmp_path / "cache").glob("*"))


def test_a_class_of_one_image_cannot_be_split(pictures: Pictures, tmp_path: Path) -> None:
    pictures.labels["train"][:] = [0, 1, *[2] * 10]
    folder = pictures.parquet(tmp_path / "images")
    with pytest.raises(DataError, match=r"class 0 has 1 training image.* at least 2"):
        load_data(DataConfig(source="folder"), folder, tmp_path / "cache", 0)


def test_the_test_images_are_read_on_request(pictures: Pictures, tmp_path: Path) -> None:
    folder = pictures.parquet(tmp_path / "images")
    data = load_data(DataConfig(source="folder", validation=0.3), folder, tmp_path / "cache", 0)
    (file,) = (tmp_path / "cache").iterdir()
    kept = file.read_bytes()
    file.unlink()
    with pytest.raises(OSError, match=r"."):
        data.read_test()
    file.write_bytes(kept)
    found = data.read_test().images.permute(0, 2, 3, 1).numpy()
    np.testing.assert_array_equal(found, pictures.images["test"])


def test_another_label_column_has_a_cache_and_a_fingerprint_of_its_own(
    tmp_path: Path, pictures: Any
) -> None:
    cells = [pictures.png(np.full((4, 4, 3), shade, np.uint8)) for shade in range(8)]
    for split in ("train", "test"):
        table = pa.table({"image": cells, "fine": [0, 1, 2, 3] * 2, "label": [0, 1] * 4})
        pq.write_table(table, tmp_path / f"{split}.parquet")
    for stream in (False, True):
        configs = [
            DataConfig(source="folder", label=label, stream=stream, size=4)
            for label in (None, "fine")
        ]
        coarse, fine = (load_data(config, tmp_path, tmp_path / "c", 0) for config in configs)
        assert (coarse.classes, fine.classes) == (2, 4)
        assert coarse.fingerprint != fine.fingerprint


def test_decoded_images_of_an_older_reader_are_not_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pictures: Any
) -> None:
    folder = pictures.folders(tmp_path / "data")
    for version in (1, 2):
        monkeypatch.setattr(dataset, "READER", version)
        load_data(DataConfig(source="folder"), folder, tmp_path / "cache", 0)
    assert len(list((tmp_path / "cache").iterdir())) == 2


def test_a_note_on_what_is_read_is_logged_once(
    tmp_path: Path, pictures: Any, caplog: pytest.LogCaptureFixture
) -> None:
    folder = pictures.folders(tmp_path / "data")
    (folder / "train" / "cat" / "notes.txt").write_text("x")
    with caplog.at_level(logging.INFO, "ir2search.data"):
        for _ in range(2):
            load_data(DataConfig(source="folder"), folder, tmp_path / "cache", 0)
    assert [(record.levelname, record.message) for record in caplog.records] == [
        (
            "INFO",
            f"{folder}: image files, train from 12 files in {folder / 'train'}, "
            f"test from 6 files in {folder / 'test'}",
        ),
        ("WARNING", f"{folder / 'train'}: skipped '.txt' files (1)"),
    ]


def test_a_variable_names_the_folder_of_a_study_that_gives_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, other = tmp_path / "named", tmp_path / "other"
    monkeypatch.setenv("IR2SEARCH_DATA", str(folder))
    with pytest.raises(DataError, match="named"):
        load_data(DataConfig(source="folder"), None, tmp_path / "cache", 0)
    with pytest.raises(DataError, match="other"):
        load_data(DataConfig(source="folder", path=str(other)), None, tmp_path / "cache", 0)
    assert load_data(DataConfig(), None, tmp_path / "cache", 0).classes == 10, "the digits"
    monkeypatch.setenv("IR2SEARCH_DATA", "")
    with pytest.raises(DataError, match="no data folder is given"):
        load_data(DataConfig(source="folder"), None, tmp_path / "cache", 0)
