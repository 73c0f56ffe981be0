"""What a network's images must be like, and what its classes are called."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field

from ir2search.errors import WeightsError
from ir2search.runtime.packed import read_described
from ir2search.validation import checked


@dataclass(frozen=True)
class ImageSpec:
    """What a network's images must be like, and what its classes are called.

    Attributes:
        data: name of the training data.
        image: (channels, height, width) of an image.
        mean: mean of the training images by channel, where 1 is the byte 255.
        std: standard deviation of the training images by channel, in the same unit.
        class_names: names of the classes, in the order of the logits.
        crop: what is resized to the network's size: the ``"whole"`` image, or its ``"centre"``, the
            square with 224/256 of the shorter side.
    """

    data: str
    image: tuple[int, int, int]
    mean: tuple[float, ...]
    std: tuple[Annotated[float, Field(gt=0)], ...]
    class_names: tuple[str, ...]
    crop: Literal["whole", "centre"] = "whole"

    def as_dict(self) -> dict[str, Any]:
        """All fields by name, as values for JSON."""
        return asdict(self)


def image_spec(about: dict[str, Any], file: Path) -> ImageSpec:
    """The specification in what a file says about its network.

    Args:
        about: see `read_about`.
        file: for errors.

    Raises:
        WeightsError: the file does not say it, or contradicts itself.
        RunError: a value has a wrong type.
    """
    if about.get("images") is None:
        raise WeightsError(
            f"{file}: does not say the mean and standard deviation of its images and the names of "
            "its classes; export the network again"
        )
    spec = checked(about, _About, file).images
    if not len(spec.mean) == len(spec.std) == spec.image[0]:
        raise WeightsError(
            f"{file}: must have a mean and a standard deviation for each of {spec.image[0]} "
            f"channels, but has {len(spec.mean)} and {len(spec.std)}; export the network again"
        )
    return spec


@dataclass(frozen=True)
class _About:
    images: ImageSpec


def read_image_spec(file: Path) -> ImageSpec:
    """The specification of a packed file.

    Raises:
        WeightsError: the file is damaged, or does not say it; earlier versions did not write it.
        RunError: a value has a wrong type.
    """
    graph, about = read_described(file)
    height, width, channels = graph.image
    spec = image_spec(about, file)
    if (spec.image, len(spec.class_names)) != ((channels, height, width), graph.classes):
        raise WeightsError(
            f"{file}: the images and classes that it names are not those of its network; export "
            "the network again"
        )
    return spec
