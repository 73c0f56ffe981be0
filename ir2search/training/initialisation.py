"""Other initial weights for the first convolution of a network."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from ir2search.data import ImageData
from ir2search.nn import BinaryConv2d
from ir2search.training.recipe import StemStart

WHITENING_IMAGES, CHUNK = 1024, 32
EPSILON = 5e-4  # added to variances, so that noise is not amplified


@torch.no_grad()
def initialise_stem(network: nn.Module, start: StemStart, data: ImageData) -> None:
    """Set the weights of the network's first convolution if they are real.

    - ``"kaiming"``: leave them as they are.
    - ``"dirac"``: the first output channels copy the input channels (Zagoruyko and Komodakis,
      "DiracNets", 2017); the others keep their random weights.
    - ``"whitened"``: the output channels are the principal components of the training images'
      patches, from the largest variance, each scaled to a variance of 1 (Jordan, "94% on CIFAR-10
      in 3.29 seconds on a single GPU", 2024, section 3.2). Channels beyond the number of components
      keep their random weights. Negative copies, which the paper adds, would have the same signs.

    Principal components are taken from the first training images of ``data``.
    """
    stem = next((each for each in network.modules() if isinstance(each, nn.Conv2d)), None)
    if stem is None or isinstance(stem, BinaryConv2d) or start == "kaiming":
        return
    weight = stem.weight
    if start == "dirac":
        nn.init.dirac_(weight[: weight.shape[1]])
        return
    filters = _principal_filters(stem, data).to(weight)
    count = min(len(weight), len(filters))
    weight[:count] = filters[:count]


def _principal_filters(stem: nn.Conv2d, data: ImageData) -> Tensor:
    """Whitening filters (C k k, C, k, k) of the images' patches, from the largest variance."""
    count = min(WHITENING_IMAGES, len(data.train))
    images = data.train.take(torch.arange(count))[0].cpu()
    size = stem.weight[0].numel()
    moments, total, patches = torch.zeros(size, size), torch.zeros(size), 0
    for part in images.split(CHUNK):
        columns = functional.unfold(data.normalise(part), stem.kernel_size, stride=stem.stride)
        rows = columns.transpose(1, 2).reshape(-1, size)
        moments += rows.T @ rows
        total += rows.sum(dim=0)
        patches += len(rows)
    mean = total / patches
    variances, vectors = torch.linalg.eigh(moments / patches - mean.outer(mean))
    filters = (vectors / (variances.clamp_min(0) + EPSILON).sqrt()).T.flip(0)
    return filters.reshape(size, *stem.weight.shape[1:])
