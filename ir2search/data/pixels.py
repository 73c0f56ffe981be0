"""One image: from encoded bytes to 8-bit RGB.

=====================================  =====================================================
mode of the file                       becomes
=====================================  =====================================================
1, L, RGB, YCbCr, CMYK, palette        RGB, as Pillow converts it
with transparency (LA, RGBA, ...)      composited on white; an opaque image keeps its colours
16-bit grey                            the high byte, ``value >> 8``
floating point, 32-bit integers, Lab   refused: their range is not defined
=====================================  =====================================================

A file with several pictures gives its first one. The orientation that EXIF states is applied.
"""

from __future__ import annotations

import functools
import io
import logging
import re
import struct
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from PIL import ExifTags, Image, UnidentifiedImageError

from ir2search.errors import DataError, first_line

# Other formats of Pillow start programs (EPS) or hold no photographs.
FORMATS = ("BMP", "GIF", "JPEG", "JPEG2000", "PNG", "PPM", "TIFF", "WEBP")
SUFFIXES = (
    ".apng", ".bmp", ".dib", ".gif", ".j2k", ".jfif", ".jp2", ".jpe", ".jpeg", ".jpf", ".jpg",
    ".jpx", ".pbm", ".pgm", ".png", ".pnm", ".ppm", ".tif", ".tiff", ".webp",
)  # fmt: skip
MAX_PIXELS = 64_000_000  # of one image: 0.8 GB while it is decoded
MAX_BYTES = 256_000_000  # of one encoded image
MODES = ("1", "L", "LA", "P", "PA", "RGB", "RGBA", "RGBa", "YCbCr", "CMYK")
DEEP_FORMATS = ("PNG", "PPM", "JPEG2000")  # their mode I has 16 bits
BACKGROUND = (255, 255, 255)
TURNS = {  # by the value of the EXIF tag
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}

logger = logging.getLogger("ir2search.data")


@contextmanager
def open_image(encoded: bytes, name: str) -> Iterator[Image.Image]:
    """Open the bytes of an image, called ``name``; its pixels are decoded later.

    Raises:
        DataError: the image has more than `MAX_PIXELS`, an unknown format, or is damaged. Errors of
            Pillow in the body of the ``with`` statement become DataErrors too.
    """
    try:
        with Image.open(io.BytesIO(encoded), formats=FORMATS) as image:
            if image.width * image.height > MAX_PIXELS:
                raise _too_large(image.width * image.height, name)
            yield image
    except DataError:
        raise
    except Image.DecompressionBombError as error:  # far above the limit, before the size is known
        found = re.search(r"\d+", str(error))
        raise _too_large(int(found[0]) if found else MAX_PIXELS, name) from None
    except UnidentifiedImageError:
        raise _damaged(name, f"its format is none of {', '.join(FORMATS)}") from None
    except Exception as error:  # decoders raise errors of many types
        reason = first_line(error)
        raise _damaged(name, reason) from None


def orientation(image: Image.Image) -> int:
    """The value of the EXIF tag, from 1 (upright) to 8; 1 if the tag is missing or damaged."""
    if image.format == "PNG":  # the tag may come after the pixels
        image.load()
    try:
        value = image.getexif().get(ExifTags.Base.Orientation, 1)
    except (OSError, ValueError, SyntaxError, LookupError, TypeError, struct.error):
        return 1
    return value if value in TURNS else 1


def upright_rgb(image: Image.Image, name: str) -> Image.Image:
    """Convert an opened image to 8-bit RGB, see the table of this module, and turn it upright.

    Raises:
        DataError: the mode has no defined conversion.
    """
    turn = orientation(image)
    rgb = _to_rgb(image, name)
    return rgb.transpose(TURNS[turn]) if turn in TURNS else rgb


def read_file(path: Path) -> bytes:
    """Read an encoded image.

    Raises:
        DataError: the file cannot be read, or is larger than `MAX_BYTES`.
    """
    try:
        check_bytes(path.stat().st_size, str(path))
        return path.read_bytes()
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}; replace or remove it") from None


def check_bytes(count: int, name: str) -> None:
    """Check the size of an encoded image.

    Raises:
        DataError: it has more than `MAX_BYTES`.
    """
    if count > MAX_BYTES:
        raise DataError(
            f"{name}: has {count:,} bytes, but the limit is {MAX_BYTES:,}; make the image smaller"
        )


@contextmanager
def no_pillow_warnings() -> Iterator[None]:
    """Suppress Pillow's warnings: of large images, which are refused, and of damaged EXIF data."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module=r"PIL\b")
        yield


def _to_rgb(image: Image.Image, name: str) -> Image.Image:
    mode = image.mode
    if mode.startswith("I;16") or (mode == "I" and image.format in DEEP_FORMATS):
        return Image.fromarray((np.asarray(image) >> 8).astype(np.uint8)).convert("RGB")
    if mode not in MODES:
        raise DataError(
            f"{name}: has pixels of mode {mode}, whose range is not defined; convert the image to "
            "8 bits"
        )
    return _on_background(image) if image.has_transparency_data else image.convert("RGB")


def _on_background(image: Image.Image) -> Image.Image:
    rgba = image.convert("RGBA")
    low, _ = rgba.getchannel("A").getextrema()
    if low == 255:
        return rgba.convert("RGB")
    _warn_of_transparency()
    result = Image.new("RGB", image.size, BACKGROUND)
    result.paste(rgba, mask=rgba)
    return result


@functools.cache  # warn once
def _warn_of_transparency() -> None:
    logger.warning("some images are transparent: they are shown on white")


def _too_large(pixels: int, name: str) -> DataError:
    return DataError(
        f"{name}: has {pixels:,} pixels, but the limit is {MAX_PIXELS:,}; make the image smaller"
    )


def _damaged(name: str, reason: str) -> DataError:
    return DataError(f"{name}: cannot be decoded as an image ({reason}); replace or remove it")
