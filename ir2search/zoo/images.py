"""The images of a single network, without a study."""

from __future__ import annotations

from pathlib import Path

from ir2search.data import DataConfig, ImageData, load_data
from ir2search.space import Candidate


def images_for(
    candidate: Candidate,
    data: str | Path | None,
    cache: Path,
    seed: int = 0,
    *,
    streamed: bool | None = None,
) -> ImageData:
    """Read the images of a folder at the size of a network.

    Args:
        candidate: the network.
        data: the folder; None for the included digits.
        cache: folder for decoded images.
        seed: of the validation split.
        streamed: whether images are streamed, and central squares are evaluated; None to do so for
            ImageNet networks.

    Raises:
        DataError: the folder cannot be read.
    """
    size = candidate.image[1]
    if data is None:
        return load_data(DataConfig(source="digits", size=size), None, cache, seed)
    if streamed is None:
        streamed = candidate.backbone == "imagenet-resnet"
    config = DataConfig(source="folder", size=size, stream=streamed)
    return load_data(config, Path(data), cache, seed)
