"""Accuracy of a network on a split."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from ir2search.data import ImageData, Split, StreamedSplit
from ir2search.errors import WeightsError
from ir2search.nn import fixed_weights, kernels_without_gradients


def accuracy(network: nn.Module, data: ImageData, split: Split | StreamedSplit) -> float:
    """Top-1 accuracy on a split, from 0 to 1; network and split are on the same device.

    Raises:
        WeightsError: a logit is NaN or infinite; a class cannot be chosen by comparing with NaN.
    """
    return topk_accuracy(network, data, split, (1,))[0]


@torch.no_grad()
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
    network.eval()
    largest = min(max(counts), data.classes)
    hits = torch.zeros(largest, dtype=torch.int64, device=split.device)
    finite = torch.ones((), dtype=torch.bool, device=split.device)
    with kernels_without_gradients(), fixed_weights():
        for images, labels in split.evaluation_batches():
            logits = network(data.normalise(images))
            finite &= logits.isfinite().all()
            best = logits.topk(largest, dim=1).indices
            hits += (best == labels[:, None]).sum(dim=0)
    if not finite:
        raise WeightsError("the network gives logits that are NaN or infinite")
    return [int(hits[:count].sum()) / len(split) for count in counts]
