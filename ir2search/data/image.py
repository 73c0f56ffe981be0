"""Read one image as a network needs it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from ir2search.data.pixels import no_pillow_warnings, open_image, read_file, upright_rgb
from ir2search.data.stream import decode_crop
from ir2search.errors import DataError
from ir2search.runtime import ImageSpec


def read_image(file: Path, spec: ImageSpec) -> Tensor:
    """Read an image of any size, and resize it as the training images were.

    Args:
        file: the image, in any format of `ir2search.data.pixels`.
        spec: the images that the network takes. For one channel, the image becomes grey.

    Returns:
        (C, H, W) uint8.

    Raises:
        DataError: the file is missing, is no image file, or is damaged or too large; or the network
            takes images that have neither one nor three channels.
    """
    channels, height, width = spec.image
    if channels not in (1, 3):
        raise DataError(
            f"{file}: the network takes images of {channels} channels, but image files have 1 or 3"
        )
    if file.exists() and not file.is_file():
        what = "a folder" if file.is_dir() else "not a regular file"
        raise DataError(f"{file}: is {what}; give image files")
    encoded = read_file(file)
    with no_pillow_warnings():
        if spec.crop == "centre":
            pixels = decode_crop(encoded, str(file), height, None, 1.0)
        else:
            with open_image(encoded, str(file)) as image:
                rgb = upright_rgb(image, str(file))
                pixels = np.asarray(rgb.resize((width, height), Image.Resampling.BILINEAR))
    if channels == 1:
        pixels = np.asarray(Image.fromarray(pixels).convert("L"))[..., None]
    return torch.from_numpy(pixels.copy()).permute(2, 0, 1)
