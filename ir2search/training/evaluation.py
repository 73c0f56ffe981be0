"""Accuracy of a network on a split."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from ir2search.data import ImageData, Split, StreamedSplit
from ir2search.errors import WeightsError
from ir2search.nn import fixed_weights, kernels_without_gradients


def accuracy(network: nn.Module, data: ImageData, split: Split | StreamedSplit) -> float:
    """Top-1 accuracy on a split, from 0 to 1; network and split are on the same device.

    Raises:
        WeightsError: a logit is NaN or infinite; a class cannot be chosen by comparing with NaN.
    """
    return topk_accuracy(network, data, split, (1,))[0]


def topk_accuracy(
    network: nn.Module,
    data: ImageData,
    split: Split | StreamedSplit,
    counts: Sequence[int],
) -> list[float]:
    """Top-k accuracies on a split, from 0 to 1, one for each k of ``counts``.

    Network and split are on the same device; the network is in evaluation mode afterwards.

    Raises:
        WeightsError: a logit is NaN or infinite.
    """
    hits = topk_hits(network, data, split, min(max(counts), data.classes))
    summed = hits.sum(dim=0)
    return [int(summed[:count].sum()) / len(split) for count in counts]


@torch.no_grad()
def topk_hits(
    network: nn.Module, data: ImageData, split: Split | StreamedSplit, count: int
) -> Tensor:
    """At which rank a network places the true class of each image.

    Network and split are on the same device; the network is in evaluation mode afterwards.

    Returns:
        (images, count) bool: whether the class of image i is the network's k-th choice.

    Raises:
        WeightsError: a logit is NaN or infinite.
    """
    network.eval()
    found = []
    finite = torch.ones((), dtype=torch.bool, device=split.device)
    with kernels_without_gradients(), fixed_weights():
        for images, labels in split.evaluation_batches():
            logits = network(data.normalise(images))
            finite &= logits.isfinite().all()
            found.append(logits.topk(count, dim=1).indices == labels[:, None])
    if not finite:
        raise WeightsError("the network gives logits that are NaN or infinite")
    return torch.cat(found)
