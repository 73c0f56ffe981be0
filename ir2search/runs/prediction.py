"""Classify image files with a trained network."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from ir2search.data import normalised, read_image
from ir2search.errors import InputError
from ir2search.runs.trained_networks import OnArrays, network_of_folder
from ir2search.runtime import ImageSpec, load_packed, read_image_spec
from ir2search.runtime.packed import PACKED
from ir2search.zoo import load_onnx, load_trained
from ir2search.zoo.onnx_file import ONNX


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


def predict(
    what: str | Path,
    images: Sequence[str | Path],
    *,
    top: int = 3,
    data: str | Path | None = None,
) -> list[Prediction]:
    """Classify image files.

    The images are resized as the training images were, and normalised with their mean and standard
    deviation. An exported file has these numbers; those of a trial's folder, or of a folder of
    `train_network`, are taken from its training images.

    Args:
        what: a trained network of `zoo`, a packed, ONNX or safetensors file of `export`, a trial's
            folder, or a folder of `train_network`.
        images: image files.
        top: number of classes to name for each image.
        data: for a folder: its training images; None for the included digits, or for the images of
            the trial's run.

    Raises:
        InputError: the network is unknown, ``top`` is below 1, or ``data`` is given for a file.
        WeightsError: the network's file is damaged, or does not say how to normalise images;
            earlier versions did not write that.
        DataError: an image's file is missing or is not an image.
        RunError: ``data`` are not the images that the network was trained on.
        MissingExtraError: onnxruntime is not installed, which ONNX files need.
    """
    if top < 1:
        raise InputError(f"`top` must be at least 1, but got {top}")
    spec, network = _network(Path(what), data)
    return [_predict(Path(image), spec, network, top) for image in images]


def _network(what: Path, data: str | Path | None) -> tuple[ImageSpec, nn.Module]:
    """The network, and how its images are normalised."""
    if what.is_dir():
        network, trained_on = network_of_folder(what, data)
        return trained_on.spec(what.name), network
    if data is not None:
        raise InputError(
            f"{what}: already says how to normalise images; give `data` for folders only"
        )
    if what.suffix == PACKED:
        return read_image_spec(what), OnArrays(load_packed(what).logits)
    if what.suffix == ONNX:
        found = load_onnx(what)
        return found.images, OnArrays(found.logits)
    trained = load_trained(str(what))
    return trained.images, trained.network


def _predict(file: Path, spec: ImageSpec, network: nn.Module, top: int) -> Prediction:
    pixels = read_image(file, spec)
    with torch.no_grad():
        shares = network(normalised(pixels[None], spec.mean, spec.std))[0].softmax(dim=0)
    best = shares.topk(min(top, len(shares)))
    rows = zip(best.indices.tolist(), best.values.tolist(), strict=True)
    named = (ClassProbability(spec.class_names[index], share) for index, share in rows)
    return Prediction(str(file), tuple(named))
