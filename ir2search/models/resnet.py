"""The CIFAR ResNet with binary 3x3 convolutions and information recovery.

Source: He et al., "Deep Residual Learning", CVPR 2016, section 4.2 (three stages, depth 6 n + 2);
made binary as in Xue et al., "IR²Net", arXiv 2210.02637, with a shortcut around every convolution.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn import functional

from ir2search.nn import BinaryConv2d, InformationRecovery
from ir2search.nn.binary import Precision


class ResidualUnit(nn.Module):
    """Binary convolution, BatchNorm, parameter-free shortcut, Hardtanh: one feature map on.

    The shortcut takes every second pixel where the stride is 2, and pads new channels with zeros.
    """

    def __init__(
        self, inputs: int, outputs: int, stride: int, weights: Precision, activations: Precision
    ) -> None:
        super().__init__()
        self.stride = stride
        self.new_channels = outputs - inputs
        self.conv = BinaryConv2d(
            inputs, outputs, stride=stride, weights=weights, activations=activations
        )
        self.bn = nn.BatchNorm2d(outputs)
        self.activation = nn.Hardtanh()

    def forward(self, x: Tensor) -> Tensor:
        """Feature maps (N, inputs, H, W) to (N, outputs, H', W'), H' = H / stride rounded up."""
        shortcut = x
        if self.stride > 1:
            shortcut = shortcut[:, :, :: self.stride, :: self.stride]
        if self.new_channels:
            before = self.new_channels // 2
            padding = (0, 0, 0, 0, before, self.new_channels - before)
            shortcut = functional.pad(shortcut, padding)
        result: Tensor = self.activation(self.bn(self.conv(x)) + shortcut)
        return result


class CifarResNet(nn.Module):
    """ResNet of depth 6 n + 2 for small images, with taps ``stem``, ``stage1`` and ``stage2``.

    Args:
        depth: 6 n + 2; 20 in the paper.
        stem_channels: channels of the stem and of stage 1; stages 2 and 3 have 2 and 4 times as
            many.
        in_channels: channels of the images.
        classes: number of classes.
        taps: names of the feature maps that feed `recovery`, in order of depth.
        recovery: built for those taps.
        weights: precision of the 3x3 convolutions' weights.
        activations: precision of their inputs.
    """

    def __init__(
        self,
        *,
        depth: int,
        stem_channels: int,
        in_channels: int,
        classes: int,
        taps: Sequence[str],
        recovery: InformationRecovery,
        weights: Precision = "binary",
        activations: Precision = "binary",
    ) -> None:
        super().__init__()
        self.tap_names = tuple(taps)
        w = stem_channels
        self.stem = nn.Sequential(
            nn.Conv2d(in_channels, w, 3, padding=1, bias=False), nn.BatchNorm2d(w), nn.Hardtanh()
        )
        units = (depth - 2) // 3
        self.stage1 = _stage(w, w, units, 1, weights, activations)
        self.stage2 = _stage(w, 2 * w, units, 2, weights, activations)
        self.stage3 = _stage(2 * w, 4 * w, units, 2, weights, activations)
        self.recovery = recovery
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.bn = nn.BatchNorm1d(4 * w)
        self.linear = nn.Linear(4 * w, classes)
        self.apply(_initialise)

    def forward(self, images: Tensor) -> Tensor:
        """Logits (N, classes) of ``images`` (N, C, H, W), normalised."""
        return self.logits_and_features(images)[0]

    def forward_features(self, images: Tensor) -> Tensor:
        """Last feature maps before fusion, (N, n, h, w), of ``images`` (N, C, H, W)."""
        return self.feature_maps(images)[1]

    def logits_and_features(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Logits (N, classes) and last feature maps before fusion (N, n, h, w), in one pass."""
        taps, last = self.feature_maps(images)
        fused = self.recovery(last, *(taps[name] for name in self.tap_names))
        logits: Tensor = self.linear(self.bn(self.pool(fused).flatten(1)))
        return logits, last

    def feature_maps(self, images: Tensor) -> tuple[dict[str, Tensor], Tensor]:
        """All taps by name, each (N, c, H', W'), and the last maps before fusion (N, n, h, w)."""
        stem = self.stem(images)
        stage1 = self.stage1(stem)
        stage2 = self.stage2(stage1)
        return {"stem": stem, "stage1": stage1, "stage2": stage2}, self.stage3(stage2)


def _stage(
    inputs: int, outputs: int, units: int, stride: int, weights: Precision, activations: Precision
) -> nn.Sequential:
    first = ResidualUnit(inputs, outputs, stride, weights, activations)
    rest = [ResidualUnit(outputs, outputs, 1, weights, activations) for _ in range(units - 1)]
    return nn.Sequential(first, *rest)


def _initialise(module: nn.Module) -> None:
    if isinstance(module, nn.Conv2d | nn.Linear):
        nn.init.kaiming_normal_(module.weight)
