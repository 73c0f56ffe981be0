from __future__ import annotations

import io
import os
import pickle
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

import ir2search as ir
from ir2search.data import (
    Augmentation,
    DataConfig,
    ImageData,
    StreamedSplit,
    dataset,
    load_data,
    stream,
)
from ir2search.data.augmentation import crop_box
from ir2search.data.split import Split
from ir2search.data.stream import decode_crop
from ir2search.errors import DataError
from ir2search.study.loading import parse_study

Pictures = Any


def jpeg(width: int, height: int, quality: int = 95) -> bytes:
    """A smooth picture: red grows from left to right, green from top to bottom."""
    x = np.linspace(0, 255, width)[None, :].repeat(height, 0)
    y = np.linspace(0, 255, height)[:, None].repeat(width, 1)
    file = io.BytesIO()
    pixels = np.stack([x, y, np.full_like(x, 128)], axis=2).round().astype(np.uint8)
    Image.fromarray(pixels).save(file, "JPEG", quality=quality, subsampling=0)
    return file.getvalue()


def streamed(folder: Path, cache: Path, size: int = 8, **options: Any) -> ImageData:
    config = DataConfig(source="folder", size=size, stream=True, validation=0.25, **options)
    return load_data(config, folder, cache, seed=3)


@pytest.fixture(params=["folder", "parquet"])
def big_pictures(
    request: pytest.FixtureRequest, picture_set: type[Pictures], tmp_path: Path
) -> Path:
    """Ninety pictures of 16 x 16: more than one job of a worker."""
    made = picture_set(train=90, test=40, side=16)
    place = tmp_path / "pictures"
    return made.folders(place, "val") if request.param == "folder" else made.parquet(place)


def test_streamed_images_equal_those_in_memory(
    pictures: Pictures, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If the central crop is the whole image, both splits have the same pixels."""
    monkeypatch.setattr(stream, "CENTRE", 1.0)
    folder = pictures.parquet(tmp_path / "data")
    config = DataConfig(source="folder", size=8, validation=0.25)
    resident = load_data(config, folder, tmp_path / "cache", seed=3)
    found = streamed(folder, tmp_path / "cache")
    assert (found.image, found.classes) == (resident.image, resident.classes)
    assert found.class_names == resident.class_names
    assert (found.mean, found.std) == (resident.mean, resident.std)
    for mine, other in (
        (found.train, resident.train),
        (found.validation, resident.validation),
        (found.read_test(), resident.read_test()),
    ):
        assert isinstance(mine, StreamedSplit)
        assert isinstance(other, Split)
        assert torch.equal(mine.labels, other.labels)
        pixels = torch.cat([images for images, _ in mine.evaluation_batches(4)])
        assert torch.equal(pixels, other.images)
        chosen = torch.tensor([2, 0])
        assert torch.equal(mine.take(chosen)[0], other.images[chosen])


@pytest.mark.filterwarnings("ignore:This DataLoader will create")  # on one core
def test_batches_do_not_depend_on_the_number_of_workers(
    big_pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    split = streamed(big_pictures, tmp_path / "cache").train
    augmentation = Augmentation(1, True, crop_area=0.2)

    def epoch(seed: int) -> list[tuple[torch.Tensor, torch.Tensor]]:
        return list(split.batches(33, augmentation, torch.Generator().manual_seed(seed)))

    monkeypatch.setattr(stream, "cores", lambda: 1)
    one = epoch(0)
    monkeypatch.setattr(stream, "cores", lambda: 2)
    two, other = epoch(0), epoch(1)
    assert [len(labels) for _, labels in one] == [33, 33]
    for (images, labels), (same_images, same_labels) in zip(one, two, strict=True):
        assert images.dtype == torch.uint8
        assert images.shape == (33, 3, 8, 8)
        assert torch.equal(images, same_images)
        assert torch.equal(labels, same_labels)
    assert not torch.equal(one[0][0], other[0][0])


def test_images_keep_their_labels_through_any_crop(tmp_path: Path) -> None:
    """Each image has one colour, which depends on its label, so any crop has that colour."""
    for split, count in (("train", 80), ("test", 8)):
        for index in range(count):
            shade = index % 4
            file = tmp_path / "data" / split / str(shade) / f"{index:02}.png"
            file.parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (20 + index % 7, 15 + index % 5), (60 * shade,) * 3).save(file)
    split = streamed(tmp_path / "data", tmp_path / "cache").train
    generator = torch.Generator().manual_seed(0)
    for images, labels in split.batches(16, Augmentation(0, True, 0.08), generator):
        expected = (60 * labels).view(-1, 1, 1, 1).expand_as(images)
        assert torch.equal(images.long(), expected)


@given(
    st.lists(st.floats(0, 1), min_size=4, max_size=4),
    st.integers(1, 2000),
    st.integers(1, 2000),
    st.floats(0.01, 1),
)
def test_a_random_resized_crop_lies_in_the_image_and_has_its_area_and_sides(
    numbers: list[float], width: int, height: int, least: float
) -> None:
    left, top, across, down = map(float, crop_box(np.array(numbers), width, height, least))
    assert -1e-9 <= left <= left + across <= width * (1 + 1e-9)
    assert -1e-9 <= top <= top + down <= height * (1 + 1e-9)
    uncut = across < width and down < height
    if uncut:
        assert least - 1e-9 <= across * down / (width * height) <= 1 + 1e-9
        assert 3 / 4 - 1e-9 <= across / down <= 4 / 3 + 1e-9


@pytest.mark.parametrize("shape", [(500, 375), (375, 500), (64, 64), (40, 30)])
def test_a_crop_shows_its_part_of_the_picture(shape: tuple[int, int]) -> None:
    """The colours of a picture increase linearly, so a crop's colours give its position."""
    size = 16
    for numbers in (None, np.array([0.5, 0.5, 0.25, 0.75]), np.array([0.0, 0.2, 1.0, 0.0])):
        found = decode_crop(jpeg(*shape), "a", size, numbers, 0.3).astype(float)
        if numbers is None:
            side = 224 / 256 * min(shape)
            left, top, across, down = (shape[0] - side) / 2, (shape[1] - side) / 2, side, side
        else:
            left, top, across, down = map(float, crop_box(numbers, *shape, 0.3))
        middles = (np.arange(size) + 0.5) / size
        red = 255 * (left + middles * across - 0.5) / (shape[0] - 1)
        green = 255 * (top + middles * down - 0.5) / (shape[1] - 1)
        inside = slice(1, -1)  # at the border, the filter is one-sided
        np.testing.assert_allclose(found[..., 0].mean(0)[inside], red[inside], atol=3)
        np.testing.assert_allclose(found[..., 1].mean(1)[inside], green[inside], atol=3)


def test_both_implementations_of_a_crop_agree(tmp_path: Path) -> None:
    """The crop of a tensor and the crop of a decoded file are equal up to interpolation."""
    picture = np.asarray(Image.open(io.BytesIO(jpeg(64, 64))))
    images = torch.from_numpy(picture.copy()).permute(2, 0, 1)[None].repeat(6, 1, 1, 1)
    generator = torch.Generator().manual_seed(0)
    found = Augmentation(0, False, 0.25)(images, torch.arange(6), generator)
    numbers = torch.rand(6, 4, generator=torch.Generator().manual_seed(0)).numpy()
    for row in range(6):
        expected = decode_crop(jpeg(64, 64), "a", 64, numbers[row], 0.25).astype(int)
        difference = np.abs(found[row].permute(1, 2, 0).numpy().astype(int) - expected)
        assert difference[2:-2, 2:-2].max() <= 4


def test_a_damaged_image_is_named_from_a_worker(
    picture_set: type[Pictures], tmp_path: Path
) -> None:
    folder = picture_set(train=90, test=40, side=16).folders(tmp_path / "damaged")
    damaged = sorted((folder / "test").glob("*/*"))[7]
    damaged.write_bytes(b"no image")
    test = streamed(folder, tmp_path / "cache").read_test()
    with pytest.raises(DataError, match="cannot be decoded as an image") as caught:
        list(test.evaluation_batches(16))
    assert str(damaged) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_binary_batches_are_not_streamed(tmp_path: Path) -> None:
    records = np.zeros((8, 3073), dtype=np.uint8)
    for name in ("data_batch_1.bin", "test_batch.bin"):
        records.tofile(tmp_path / name)
    with pytest.raises(DataError, match="remove `stream` from"):
        streamed(tmp_path, tmp_path / "cache")


def test_data_larger_than_the_memory_is_refused(
    pictures: Pictures, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = pictures.folders(tmp_path / "data")
    monkeypatch.setattr(os, "sysconf", lambda name: {"SC_PAGE_SIZE": 1, "SC_PHYS_PAGES": 64}[name])
    with pytest.raises(DataError, match="`stream = true`"):
        load_data(DataConfig(source="folder"), folder, tmp_path / "cache", 0)


def test_the_index_is_written_once_and_can_be_pickled(pictures: Pictures, tmp_path: Path) -> None:
    folder, cache = pictures.parquet(tmp_path / "data"), tmp_path / "cache"
    split = streamed(folder, cache).train
    times = {file: file.stat().st_mtime_ns for file in cache.iterdir()}
    again = streamed(folder, cache).train
    assert {file: file.stat().st_mtime_ns for file in cache.iterdir()} == times
    indices = torch.arange(3)
    expected = again.take(indices)[0]
    assert torch.equal(pickle.loads(pickle.dumps(split)).take(indices)[0], expected)


def test_memory_does_not_grow_with_the_images(tmp_path: Path) -> None:
    """700 images of 224 x 224 are 105 MB when decoded; reading all of them needs less."""
    encoded = jpeg(320, 240, quality=50)
    for split, count in (("train", 700), ("test", 2)):
        for label in range(2):
            place = tmp_path / "data" / split / str(label)
            place.mkdir(parents=True)
            for index in range(count // 2):
                (place / f"{index}.jpg").write_bytes(encoded)
    code = f"""
import resource, sys, torch
from pathlib import Path
import ir2search as ir
from ir2search.data import Augmentation, DataConfig, load_data
config = DataConfig(source="folder", size=224, stream=True)
data = load_data(config, Path({str(tmp_path / "data")!r}), Path({str(tmp_path / "cache")!r}), 0)
def peak(): return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
for images, labels in data.train.batches(64, Augmentation(0, True, 0.08), torch.Generator()):
    break
before = peak()
count = 0
for images, labels in data.train.batches(64, Augmentation(0, True, 0.08), torch.Generator()):
    count += len(labels)
print(count, (peak() - before) / 1024)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    count, grown = done.stdout.split()
    assert int(count) == 630 // 64 * 64
    assert float(grown) < 50


@pytest.mark.usefixtures("no_figures")
def test_a_study_on_streamed_images_is_reproducible(
    picture_set: type[Pictures], quick: dict[str, Any], tmp_path: Path
) -> None:
    folder = picture_set(train=90, test=40, side=16).folders(tmp_path / "data", "val")
    quick["data"] = {"source": "folder", "size": 8, "stream": True, "validation": 0.25}
    quick["trials"] = 2
    quick["recipe"] |= {"batch_size": 16, "crop_area": 0.3, "crop_padding": 0, "flip": True}
    study = parse_study(quick, "quick.toml")
    tables = []
    for name in ("one", "two"):
        ir.run(study, tmp_path / name / "quick", data=folder, device="cpu")
        tables.append(ir.trials(tmp_path / name / "quick").drop(columns=["seconds"]))
    assert tables[0].equals(tables[1])
    assert tables[0]["accuracy"].notna().sum() == 2
    analysis = ir.analyze(
        tmp_path / "one" / "quick",
        images=8,
        data=folder,
        device="cpu",
        layers=["stem"],
        methods=["grad_cam"],
    )
    entropies = analysis.table[analysis.table["measure"] == "attribution entropy"]["value"]
    assert entropies.between(0, 6).all()


def test_a_small_shared_memory_changes_no_batch(
    big_pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Chunks that do not fit in it come through a pipe; a worker would wait for ever otherwise."""
    split = streamed(big_pictures, tmp_path / "cache").train

    def images() -> torch.Tensor:
        return torch.cat([images for images, _ in split.evaluation_batches(33)])

    expected = images()
    seen = []
    as_tensor = torch.as_tensor
    monkeypatch.setattr(torch, "as_tensor", lambda chunk: seen.append(chunk) or as_tensor(chunk))
    monkeypatch.setattr(stream, "shared_memory", lambda: 10_000)
    assert torch.equal(images(), expected)
    assert all(isinstance(chunk, np.ndarray) for chunk in seen)
    monkeypatch.setattr(stream, "shared_memory", lambda: None)
    seen.clear()
    assert torch.equal(images(), expected)
    assert all(isinstance(chunk, torch.Tensor) for chunk in seen)


@pytest.mark.parametrize(
    ("free", "size", "fits"), [(64e6, 512, False), (64e6, 32, True), (2e9, 224, True)]
)
def test_chunks_take_a_quarter_of_the_shared_memory(
    monkeypatch: pytest.MonkeyPatch, free: float, size: int, fits: bool
) -> None:
    monkeypatch.setattr(stream, "shared_memory", lambda: free)
    assert stream._fits_shared_memory(2, size) is fits


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
def test_processes_that_decode_get_no_signal_of_the_group(
    big_pictures: Path, tmp_path: Path
) -> None:
    """A batch system sends SIGTERM to all processes; only the one that trains decides."""
    split = streamed(big_pictures, tmp_path / "cache").train
    batches = split.evaluation_batches(16)
    first = next(batches)
    helpers = psutil.Process().children()
    assert helpers
    for helper in helpers:
        helper.send_signal(signal.SIGTERM)
        helper.send_signal(signal.SIGINT)
    assert sum(len(labels) for _, labels in (first, *batches)) == len(split)


def test_the_fingerprint_depends_on_how_images_are_read(
    pictures: Pictures, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = pictures.parquet(tmp_path / "data")
    before = streamed(folder, tmp_path / "cache").fingerprint
    assert streamed(folder, tmp_path / "other").fingerprint == before
    monkeypatch.setattr(dataset, "STREAM_READER", dataset.STREAM_READER + 1)
    assert streamed(folder, tmp_path / "cache").fingerprint != before
