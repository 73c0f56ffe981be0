"""VGG-Small with binary convolutions and information recovery.

Sources: Zhang et al., "LQ-Nets", ECCV 2018 (the network, with one fully connected layer); Xue et
al., "IR²Net", arXiv 2210.02637 (the choice of taps).
"""

from __future__ import annotations

from collections import OrderedDict

from torch import Tensor, nn

from ir2search.models.network import NetworkSpec, TappedNetwork, make_stem
from ir2search.nn import BinaryConv2d, normed


class ConvBlock(nn.Module):
    """Binary convolution, max-pooling if ``shrinks``, BatchNorm, activation."""

    def __init__(self, spec: NetworkSpec, inputs: int, outputs: int, shrinks: bool) -> None:
        super().__init__()
        self.conv = BinaryConv2d(inputs, outputs, binarisation=spec.binarisation)
        self.pool = nn.MaxPool2d(2) if shrinks else nn.Identity()
        self.bn = nn.BatchNorm2d(outputs)
        self.activation = spec.make_activation(outputs)

    def forward(self, x: Tensor) -> Tensor:
        """Feature maps (N, inputs, H, W) to (N, outputs, H', W'), H' = H or H // 2."""
        return normed(self.pool(self.conv(x)), self.bn, self.activation)


def cifar_vgg(spec: NetworkSpec) -> TappedNetwork:
    """A full-precision stem of w channels, binary convolutions to w, 2 w, 2 w, 4 w, 4 w."""
    w = spec.channels
    layers: list[tuple[str, nn.Module]] = [
        ("stem", make_stem(spec)),
        ("conv1", ConvBlock(spec, w, w, shrinks=True)),
        ("conv2", ConvBlock(spec, w, 2 * w, shrinks=False)),
        ("conv3", ConvBlock(spec, 2 * w, 2 * w, shrinks=True)),
        ("conv4", ConvBlock(spec, 2 * w, 4 * w, shrinks=False)),
        ("conv5", ConvBlock(spec, 4 * w, 4 * w, shrinks=True)),
    ]
    positions = (spec.image[1] // 8) * (spec.image[2] // 8)
    linear = nn.Linear(4 * w * positions, spec.classes)
    head = nn.Sequential(OrderedDict(flatten=nn.Flatten(), linear=linear))
    return TappedNetwork(spec, layers, head)
