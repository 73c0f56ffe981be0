"""The BatchNorms' statistics of a subnet, which the shared weights do not have."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import update_bn

from ir2search.data import ImageData
from ir2search.errors import StudyError
from ir2search.models.network import TappedNetwork
from ir2search.nn import fixed_weights, kernels_without_gradients
from ir2search.space import Candidate
from ir2search.supernet.supernet import Supernet

BATCH = 256  # images whose mean and variance are computed together


def calibration_batches(data: ImageData, count: int, device: torch.device) -> list[Tensor]:
    """A fixed random part of the training images, normalised, in batches (N, C, H, W).

    Raises:
        StudyError: there are fewer training images.
    """
    check_calibration(data, count)
    order = torch.randperm(len(data.train), generator=torch.Generator().manual_seed(0))
    parts = order[:count].chunk(max(1, count // BATCH))
    return [data.normalise(data.train.take(part)[0].to(device)) for part in parts]


def check_calibration(data: ImageData, count: int) -> None:
    """Raise StudyError if there are fewer training images than this number."""
    if count > len(data.train):
        raise StudyError(
            f"[supernet] calibration: must be at most the {len(data.train)} training images, but "
            f"got {count}"
        )


def calibrate(network: nn.Module, batches: Iterable[Tensor]) -> None:
    """Set the running statistics of a network's BatchNorms to the means over batches.

    Source: Yu and Huang, "Universally slimmable networks", ICCV 2019, section 3.3.

    Args:
        network: in evaluation mode afterwards.
        batches: normalised images, each (N, C, H, W).
    """
    with kernels_without_gradients(), fixed_weights():
        update_bn(batches, network)
    network.eval()


def calibrated_subnet(
    supernet: Supernet, candidate: Candidate, batches: Iterable[Tensor]
) -> TappedNetwork:
    """A candidate's network with a copy of its weights, ready for evaluation.

    Args:
        supernet: the shared weights.
        candidate: the network.
        batches: normalised training images, each (N, C, H, W).

    Raises:
        CandidateError: the space has no such network.
    """
    network = supernet.subnet(candidate)
    calibrate(network, batches)
    return network
