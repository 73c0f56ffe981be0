"""The ``[data]`` section of a study file."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field, StrictBool
from pydantic.dataclasses import dataclass

from ir2search.data.sources import SOURCES


def _known(source: str) -> str:
    if source not in SOURCES:
        raise ValueError(SOURCES.missing(source))
    return source


@dataclass(frozen=True, kw_only=True, config={"extra": "forbid"})
class DataConfig:
    """The ``[data]`` section of a study file.

    Attributes:
        source: ``"digits"`` (scikit-learn's handwritten digits, nothing to download),
            ``"folder"`` (a folder of parquet files, CIFAR-10 binary batches, or an image folder
            ``split/class/*``, given on the command line or as ``path``), or what
            `register_dataset` made known.
        path: the folder, where it is not given on the command line.
        size: side in pixels to which images are resized; not at all where left out.
        validation: share of the training images that are held out for the search, stratified.
        stream: whether images are decoded anew for each epoch, by worker processes, because there
            are too many to hold; they are evaluated on the square in their centre (224/256 of the
            shorter side).
    """

    source: Annotated[str, AfterValidator(_known)] = "digits"
    path: str | None = None
    size: Annotated[int, Field(strict=True, ge=4, le=1024)] | None = None
    validation: Annotated[float, Field(strict=True, gt=0, lt=1)] = 0.1
    stream: StrictBool = False

    def __post_init__(self) -> None:
        if self.stream and (self.source != "folder" or self.size is None):
            raise ValueError('`stream` needs `source = "folder"` and a `size`')
