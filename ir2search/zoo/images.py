"""The images of a single network, without a study."""

from __future__ import annotations

from pathlib import Path

from ir2search.data import DataConfig, ImageData, load_data
from ir2search.space import Candidate


def images_for(
    candidate: Candidate, data: str | Path | None, cache: Path, seed: int = 0
) -> ImageData:
    """Read the images of a folder at the size of a network.

    Args:
        candidate: the network. ImageNet networks get their images streamed, and central squares in
            evaluation.
        data: the folder; None for the included digits.
        cache: folder for decoded images.
        seed: of the validation split.

    Raises:
        DataError: the folder cannot be read.
    """
    streamed = data is not None and candidate.backbone == "imagenet-resnet"
    config = DataConfig(
        source="digits" if data is None else "folder", size=candidate.image[1], stream=streamed
    )
    return load_data(config, None if data is None else Path(data), cache, seed)
