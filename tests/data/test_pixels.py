from __future__ import annotations

import io
import logging
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from readers import read_folder

from ir2search.data import pixels
from ir2search.data.decode import decode
from ir2search.data.stream import decode_crop
from ir2search.errors import DataError

CASES = Path(__file__).parents[3] / "shared" / "cases"


def encoded(image: Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def rgb(content: bytes) -> np.ndarray:
    """The decoded pixels, (H, W, 3)."""
    return decode([("a.png", content)], 1, None)[0].permute(1, 2, 0).numpy()


@pytest.fixture
def ramp() -> np.ndarray:
    """16-bit grey, (16, 16): each value from 0 to 65,280 in steps of 256, plus a low byte."""
    return (np.arange(256, dtype=np.uint16) * 256 + 200).reshape(16, 16)


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "PPM"])
def test_16_bit_grey_keeps_its_high_byte(ramp: np.ndarray, kind: str) -> None:
    found = rgb(encoded(Image.fromarray(ramp), kind))
    np.testing.assert_array_equal(found, np.stack([ramp >> 8] * 3, axis=2))


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "CMYK"])
def test_opaque_modes_become_what_pillow_converts_them_to(mode: str) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (9, 7, 3), dtype=np.uint8)
    content = encoded(Image.fromarray(noise).convert(mode), "TIFF" if mode == "CMYK" else "PNG")
    expected = np.asarray(Image.open(io.BytesIO(content)).convert("RGB"))
    np.testing.assert_array_equal(rgb(content), expected)


@pytest.mark.parametrize("mode", ["LA", "RGBA", "PA"])
def test_transparent_pixels_are_shown_on_white_and_said_once(
    mode: str, caplog: pytest.LogCaptureFixture
) -> None:
    image = Image.new("RGBA", (3, 1), (60, 60, 60, 255))
    image.putpixel((1, 0), (60, 60, 60, 0))
    image.putpixel((2, 0), (60, 60, 60, 51))
    if mode == "PA":  # a palette with one transparent entry
        palette = Image.new("P", (3, 1), 0)
        palette.putpalette([60, 60, 60, 0, 0, 0])
        palette.putpixel((1, 0), 1)
        content, expected = encoded(palette, transparency=1), [60, 255, 60]
    else:
        content, expected = encoded(image.convert(mode)), [60, 255, 216]
    pixels._warn_of_transparency.cache_clear()
    with caplog.at_level(logging.WARNING):
        assert rgb(content)[0, :, 0].tolist() == expected
        rgb(content)
    assert [record.message for record in caplog.records] == [
        "some images are transparent: they are shown on white"
    ]


def test_an_opaque_alpha_channel_changes_nothing() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (9, 7, 3), dtype=np.uint8)
    content = encoded(Image.fromarray(noise).convert("RGBA"))
    np.testing.assert_array_equal(rgb(content), noise)


@pytest.mark.parametrize("mode", ["F", "I"])
def test_a_mode_without_a_range_is_refused_by_name(mode: str) -> None:
    content = encoded(Image.new(mode, (4, 4)), "TIFF")
    with pytest.raises(DataError, match=rf"a\.png: has pixels of mode {mode}, .* 8 bits"):
        rgb(content)


@pytest.mark.parametrize("value", range(1, 9))
def test_the_orientation_of_exif_is_applied(value: int) -> None:
    """Compared with Pillow's own function, in memory and streamed."""
    from PIL import ImageOps

    noise = np.random.default_rng(0).integers(0, 256, (8, 12, 3), dtype=np.uint8)
    exif = Image.Exif()
    exif[0x0112] = value
    for kind in ("PNG", "JPEG"):
        content = encoded(Image.fromarray(noise), kind, exif=exif)
        expected = ImageOps.exif_transpose(Image.open(io.BytesIO(content))).convert("RGB")
        np.testing.assert_array_equal(rgb(content), np.asarray(expected))
        upright = encoded(expected)
        for numbers in (None, np.array([0.3, 0.2, 0.9, 0.1])):
            found = decode_crop(content, "a", 6, numbers, 0.3)
            np.testing.assert_array_equal(found, decode_crop(upright, "a", 6, numbers, 0.3))


def test_damaged_exif_data_does_not_refuse_an_image() -> None:
    image = Image.new("RGB", (4, 4), (9, 9, 9))
    assert (rgb(encoded(image, exif=b"Exif\0\0nonsense")) == 9).all()


@pytest.mark.parametrize("side", [9_000, 30_000])
def test_an_image_with_too_many_pixels_is_refused_before_it_is_decoded(side: int) -> None:
    size = b"%d %d" % (side, side)
    with pytest.raises(DataError) as caught:
        rgb(b"P4\n" + size + b"\n" + bytes(100))
    assert str(caught.value) == (
        f"a.png: has {side * side:,} pixels, but the limit is 64,000,000; make the image smaller"
    )


def test_no_program_is_started_for_an_image(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pillow would start Ghostscript for a file that begins like PostScript."""
    monkeypatch.setattr(subprocess, "check_call", lambda *a, **k: pytest.fail("a program"))
    monkeypatch.setattr(subprocess, "Popen", lambda *a, **k: pytest.fail("a program"))
    script = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\nshowpage\n"
    with pytest.raises(DataError, match=r"a\.png: cannot be decoded .*its format is none of BMP"):
        rgb(script)


def test_a_large_file_is_not_read(tmp_path: Path) -> None:
    with (tmp_path / "0.png").open("wb") as file:
        file.truncate(pixels.MAX_BYTES + 1)
    with pytest.raises(DataError, match=r"0\.png: has 256,000,001 bytes, but the limit is"):
        pixels.read_file(tmp_path / "0.png")


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("grey16.png", (103.8, 105)),  # of its 16 bits, the upper 8
        ("alpha-only.png", (127.5, 2)),
        ("exif-orientation-6.jpg", None),
        ("float32.tif", r"float32\.tif: has pixels of mode F"),
        ("200-megapixel.png", r"200-megapixel\.png: has 200,000,000 pixels, but the limit"),
    ],
)
def test_pictures_that_people_reported(name: str, expected: Any) -> None:
    if not CASES.is_dir():
        pytest.skip(f"needs the pictures in {CASES}")
    content = (CASES / name).read_bytes()
    if isinstance(expected, str):
        with pytest.raises(DataError, match=expected):
            decode([(name, content)], 1, None)
        return
    found = rgb(content)
    if expected is not None:
        assert (round(float(found.mean()), 1), len(np.unique(found))) == expected


def test_images_of_a_folder_may_have_several_formats(tmp_path: Path) -> None:
    for split in ("train", "test"):
        for kind, suffix in (("PPM", "ppm"), ("PPM", "pgm"), ("WEBP", "webp"), ("BMP", "BMP")):
            place = tmp_path / split / suffix
            place.mkdir(parents=True)
            grey = Image.new(
                "L" if suffix == "pgm" else "RGB", (8, 8), 99 if suffix == "pgm" else (99,) * 3
            )
            options = {"lossless": True} if kind == "WEBP" else {}
            grey.save(place / f"0.{suffix}", kind, **options)
    found = read_folder(tmp_path, None)
    assert len(found.train_images) == 4
    assert (found.train_images == 99).all()


@given(st.sampled_from(["PNG", "JPEG", "GIF", "TIFF", "WEBP", "BMP", "PPM"]), st.data())
def test_any_damage_gives_an_image_or_one_sentence(kind: str, data: st.DataObject) -> None:
    content = bytearray(encoded(Image.new("RGB", (5, 4), (1, 2, 3)), kind))
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    del content[data.draw(st.integers(0, len(content))) :]
    for read in (
        lambda: decode([("a.png", bytes(content))], 1, 6),
        lambda: decode_crop(bytes(content), "a.png", 6, None, 1.0),
    ):
        message = "a.png: decoded"
        try:
            read()
        except DataError as error:
            message = str(error)
        assert message.startswith("a.png: ")
        assert "\n" not in message
