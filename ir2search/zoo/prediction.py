"""Classify image files with a trained network."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ir2search.data import normalised, read_image
from ir2search.errors import InputError
from ir2search.runtime import ImageSpec, load_packed, read_image_spec
from ir2search.runtime.packed import PACKED
from ir2search.zoo.pretrained import load_trained

Logits = Callable[[Tensor], Tensor]  # normalised images (N, C, H, W) to (N, classes)


@dataclass(frozen=True)
class ClassProbability:
    """A class, and the share that the softmax of the logits gives it; not calibrated."""

    name: str
    probability: float


@dataclass(frozen=True)
class Prediction:
    """What a network says about an image.

    Attributes:
        image: the image's file.
        classes: the most probable classes, best first.
    """

    image: str
    classes: tuple[ClassProbability, ...]

    def as_dict(self) -> dict[str, Any]:
        """All fields as values for JSON."""
        return asdict(self)


def predict(what: str | Path, images: Sequence[str | Path], *, top: int = 3) -> list[Prediction]:
    """Classify image files.

    The images are resized as the training images were, and normalised with their mean and standard
    deviation.

    Args:
        what: a trained network of `zoo`, or a packed or ``.safetensors`` file of `export`.
        images: image files.
        top: number of classes to name for each image.

    Raises:
        InputError: the network is unknown, or ``top`` is below 1.
        WeightsError: the network's file is damaged, or does not say how to normalise images;
            earlier versions did not write that.
        DataError: an image's file is missing or is not an image.
        MissingExtraError: numba is not installed, which packed files need.
    """
    if top < 1:
        raise InputError(f"`top` must be at least 1, but got {top}")
    spec, logits = _network(what)
    return [_predict(Path(image), spec, logits, top) for image in images]


def _network(what: str | Path) -> tuple[ImageSpec, Logits]:
    file = Path(what)
    if file.is_dir():
        raise InputError(f"{file}: is a folder; export its network and give the packed file")
    if file.suffix == PACKED:
        spec, packed = read_image_spec(file), load_packed(file)
        return spec, lambda images: torch.from_numpy(packed.logits(images.numpy()))
    trained = load_trained(what)
    return trained.images, trained.network


def _predict(file: Path, spec: ImageSpec, logits: Logits, top: int) -> Prediction:
    pixels = read_image(file, spec)
    with torch.no_grad():
        shares = logits(normalised(pixels[None], spec.mean, spec.std))[0].softmax(dim=0)
    best = shares.topk(min(top, len(shares)))
    rows = zip(best.indices.tolist(), best.values.tolist(), strict=True)
    named = (ClassProbability(spec.class_names[index], share) for index, share in rows)
    return Prediction(str(file), tuple(named))
