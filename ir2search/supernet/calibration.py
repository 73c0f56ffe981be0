"""The BatchNorms' statistics of a subnet, which the shared weights do not have."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor

from ir2search.data import Augmentation, ImageData
from ir2search.errors import StudyError
from ir2search.models.network import TappedNetwork
from ir2search.space import Candidate
from ir2search.supernet.supernet import Supernet
from ir2search.training.statistics import calibrate

BATCH = 256  # images whose mean and variance are computed together


def calibration_batches(
    data: ImageData, count: int, augmentation: Augmentation, device: torch.device
) -> list[Tensor]:
    """A fixed random part of the training images, normalised, in batches (N, C, H, W).

    They are augmented as in training: networks that were trained on augmented images are 2 to 3
    points less accurate with the statistics of plain ones.

    Raises:
        StudyError: there are fewer training images.
    """
    check_calibration(data, count)
    generator = torch.Generator().manual_seed(0)
    order = torch.randperm(len(data.train), generator=generator)
    augmentation = augmentation.in_epoch(0, len(data.train), seed=0)
    parts = order[:count].chunk(max(1, count // BATCH))
    augmented = [augmentation(data.train.take(part)[0], part, generator) for part in parts]
    return [data.normalise(images.to(device)) for images in augmented]


def check_calibration(data: ImageData, count: int) -> None:
    """Raise StudyError if there are fewer training images than this number."""
    if count > len(data.train):
        raise StudyError(
            f"[supernet] calibration: must be at most the {len(data.train)} training images, but "
            f"got {count}"
        )


def calibrated_subnet(
    supernet: Supernet, candidate: Candidate, batches: Iterable[Tensor]
) -> TappedNetwork:
    """A candidate's network with a copy of its weights, ready for evaluation.

    Args:
        supernet: the shared weights.
        candidate: the network.
        batches: see `calibration_batches`.

    Raises:
        CandidateError: the space has no such network.
    """
    network = supernet.subnet(candidate)
    calibrate(network, batches)
    return network
