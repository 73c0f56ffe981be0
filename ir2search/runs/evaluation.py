"""Measure a trained network on test images."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ir2search.intervals import share_interval
from ir2search.runs.layout import CACHE
from ir2search.runs.names import runs_folder
from ir2search.runs.trained_networks import network_and_images
from ir2search.training import pick_device, topk_accuracy


@dataclass(frozen=True)
class Evaluation:
    """The accuracy of a network on test images.

    Attributes:
        images: number of images.
        top1: top-1 accuracy, from 0 to 1.
        top5: top-5 accuracy, from 0 to 1.
    """

    images: int
    top1: float
    top5: float

    def as_dict(self) -> dict[str, Any]:
        """All fields, and the 95% interval of the top-1 accuracy, as values for JSON."""
        low, high = share_interval(self.top1, self.images)
        return {**vars(self), "low": low, "high": high}


def evaluate(
    what: str | Path,
    data: str | Path | None = None,
    *,
    weights: str | Path | None = None,
    cache: str | Path | None = None,
    device: str = "auto",
) -> Evaluation:
    """Measure the accuracy of a trained network on test images.

    Images are resized to the network's size; ImageNet networks get their central square. They are
    normalised with the mean and deviation of the images that the network was trained on if its file
    has them, else with those of the data's training images.

    Args:
        what: a trained network of `zoo`, a folder of `train_network`, a trial's folder, a file of
            `export` or a folder with one of them; with ``weights``, a preset or a
            ``candidate.json``.
        data: a folder of images; None for the included digits, or for the images of the trial's
            run.
        weights: the network's weights: a ``.safetensors`` file or a torch checkpoint. For a preset
            they may be those that the paper's authors released.
        cache: folder for decoded images; None for that of `runs_folder`.
        device: ``"auto"``, ``"cpu"``, ``"cuda"``, ...

    Raises:
        InputError: the network is unknown or has no weights, the weights cannot be read or are of
            another network, or the data does not fit the network.
    """
    torch_device = pick_device(device)
    network, images = network_and_images(
        str(what),
        data,
        None if weights is None else Path(weights),
        runs_folder() / CACHE if cache is None else Path(cache),
    )
    test = images.read_test().to(torch_device)
    top1, top5 = topk_accuracy(network.to(torch_device), images, test, (1, 5))
    return Evaluation(len(test), top1, top5)
