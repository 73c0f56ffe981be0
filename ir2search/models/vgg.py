"""VGG-Small with binary convolutions and information recovery.

Sources: Zhang et al., "LQ-Nets", ECCV 2018 (the network, with one fully connected layer); Xue et
al., "IR²Net", arXiv 2210.02637 (the choice of taps).
"""

from __future__ import annotations

from collections import OrderedDict

from torch import Tensor, nn

from ir2search.models.families import Stage
from ir2search.models.network import NetworkSpec, TappedNetwork, inner_convolution, make_stem
from ir2search.nn import normed


class ConvBlock(nn.Module):
    """Binary convolution, max-pooling if ``shrinks``, BatchNorm, activation."""

    def __init__(self, spec: NetworkSpec, stage: Stage, inputs: int, shrinks: bool) -> None:
        super().__init__()
        outputs = stage.channels
        self.conv = inner_convolution(spec, stage, inputs)
        self.pool = nn.MaxPool2d(2) if shrinks else nn.Identity()
        self.bn = nn.BatchNorm2d(outputs)
        self.activation = spec.make_activation(outputs)

    def forward(self, x: Tensor) -> Tensor:
        """Feature maps (N, inputs, H, W) to (N, outputs, H', W'), H' = H or H // 2."""
        return normed(self.pool(self.conv(x)), self.bn, self.activation)


def cifar_vgg(spec: NetworkSpec) -> TappedNetwork:
    """A stem of w channels, and binary convolutions, by default to w, 2 w, 2 w, 4 w, 4 w."""
    layers: list[tuple[str, nn.Module]] = [("stem", make_stem(spec))]
    inputs = spec.stem.channels
    for index, stage in enumerate(spec.stages):
        layers.append((stage.name, ConvBlock(spec, stage, inputs, shrinks=index % 2 == 0)))
        inputs = stage.channels
    height, width = (spec.stem.side(side) // 8 for side in spec.image[1:])
    linear = nn.Linear(inputs * height * width, spec.classes)
    head = nn.Sequential(OrderedDict(flatten=nn.Flatten(), linear=linear))
    return TappedNetwork(spec, layers, head)
