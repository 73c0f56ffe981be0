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


Column = Annotated[str, Field(strict=True, min_length=1, max_length=200)]


@dataclass(frozen=True, kw_only=True, config={"extra": "forbid"})
class DataConfig:
    """The ``[data]`` section of a study file.

    Attributes:
        source: ``"digits"`` (scikit-learn's handwritten digits, no download), ``"folder"`` (a
            folder of parquet files, of CIFAR-10 binary batches, or of images in
            ``split/class/*``), or a name from `register_dataset`.
        path: the data folder; a folder given to the command takes precedence.
        image: column of a folder's parquet files that has the images; by default ``img`` or
            ``image``.
        label: column that has the labels; by default ``label`` or ``labels``.
        size: side in pixels to which images are resized; by default they are not resized.
        validation: share of the training images that is held out for the search, stratified.
        stream: whether worker processes decode the images again in each epoch, for data that does
            not fit in memory. Evaluation uses the central square (224/256 of the shorter side).
    """

    source: Annotated[str, AfterValidator(_known)] = "digits"
    path: str | None = None
    image: Column | None = None
    label: Column | None = None
    size: Annotated[int, Field(strict=True, ge=4, le=1024)] | None = None
    validation: Annotated[float, Field(strict=True, gt=0, lt=1)] = 0.1
    stream: StrictBool = False

    def __post_init__(self) -> None:
        if self.stream and (self.source != "folder" or self.size is None):
            raise ValueError('`stream` needs `source = "folder"` and a `size`')
        if (self.image or self.label) and self.source != "folder":
            raise ValueError('`image` and `label` name columns and need `source = "folder"`')
