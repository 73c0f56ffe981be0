from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from ir2search.data import read_image
from ir2search.data.decode import decode
from ir2search.data.pixels import MAX_PIXELS
from ir2search.data.stream import decode_crop
from ir2search.errors import DataError
from ir2search.runtime import ImageSpec

SPEC = ImageSpec("pets", (3, 12, 12), (0.5,) * 3, (0.2,) * 3, ("cat", "dog"))
GREY = replace(SPEC, image=(1, 6, 9), mean=(0.5,), std=(0.2,))


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    pixels = np.random.default_rng(0).integers(0, 256, (40, 31, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "photo.png")
    return tmp_path / "photo.png"


def test_an_image_is_resized_as_training_images_are(photo: Path) -> None:
    found = read_image(photo, SPEC)
    assert torch.equal(found, decode([(str(photo), None)], 1, 12)[0])
    centre = read_image(photo, replace(SPEC, crop="centre"))
    expected = decode_crop(photo.read_bytes(), "photo", 12, None, 1.0)
    assert torch.equal(centre, torch.from_numpy(expected.copy()).permute(2, 0, 1))


def test_an_image_of_the_right_size_keeps_its_pixels(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (6, 9), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "grey.png")
    assert np.array_equal(read_image(tmp_path / "grey.png", GREY)[0], pixels)


def test_a_network_for_grey_images_gets_the_luminance(tmp_path: Path) -> None:
    Image.new("RGB", (20, 20), (255, 0, 0)).save(tmp_path / "red.png")
    found = read_image(tmp_path / "red.png", GREY)
    assert found.shape == (1, 6, 9)
    assert found.unique().tolist() == [round(0.299 * 255)]


def test_other_files_are_refused_in_one_sentence(photo: Path, tmp_path: Path) -> None:
    (tmp_path / "text.png").write_text("not a picture")
    wide = Image.new("1", (MAX_PIXELS // 1000 + 1, 1000))
    wide.save(tmp_path / "large.png")
    for name, message in {
        "nothing.png": "nothing.png: cannot be read: No such file",
        "": f"{tmp_path.name}: is a folder; give image files",
        "text.png": r"text.png: cannot be decoded as an image \(its format is none of",
        "large.png": r"large.png: has [\d,]+ pixels, but the limit is 64,000,000",
    }.items():
        with pytest.raises(DataError, match=message) as caught:
            read_image(tmp_path / name, SPEC)
        assert "\n" not in str(caught.value)
    with pytest.raises(DataError, match="takes images of 4 channels, but image files have 1 or 3"):
        read_image(photo, replace(SPEC, image=(4, 12, 12)))
