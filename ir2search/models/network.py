"""The parts that all networks share: a stem, named layers, recovery, a head."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from torch import Tensor, nn

from ir2search.choices import Activation
from ir2search.models.families import Stage, Stem
from ir2search.nn import (
    Binarisation,
    BinaryConv2d,
    InformationRecovery,
    Normed,
    Thermometer,
    make_activation,
)


@dataclass(frozen=True, kw_only=True)
class NetworkSpec:
    """The arguments of a function that builds a network.

    Attributes:
        depth: number of layers, as the family counts them.
        stem: shape of the first convolution.
        image: (channels, height, width) of the images.
        classes: number of classes.
        taps: names of the feature maps that recovery uses, from shallow to deep.
        recovery: the recovery module for these taps.
        stages: shapes of the layers after the stem, if the family has ``stages``.
        binarisation: how the inner convolutions are binarised.
        activation: name of the activation after each BatchNorm or shortcut.
    """

    depth: int
    stem: Stem
    image: tuple[int, int, int]
    classes: int
    taps: Sequence[str]
    recovery: InformationRecovery
    stages: tuple[Stage, ...] = ()
    binarisation: Binarisation = field(default_factory=Binarisation)
    activation: Activation = "hardtanh"

    @property
    def channels(self) -> int:
        """Channels of the stem."""
        return self.stem.channels

    def make_activation(self, channels: int) -> nn.Module:
        """Make the activation for feature maps with this number of channels."""
        return make_activation(self.activation, channels)


class TappedNetwork(nn.Module):
    """A sequence of layers, then recovery, then a head.

    The output of each layer but the last is a tap that recovery can use.

    Args:
        spec: what to build.
        layers: (name, layer) in order; recovery fuses the taps into the output of the last layer.
        head: from fused feature maps (N, n, h, w) to logits (N, classes).
        after_stem: a module between the first layer and the second, after the first layer's tap.
    """

    def __init__(
        self,
        spec: NetworkSpec,
        layers: Sequence[tuple[str, nn.Module]],
        head: nn.Module,
        after_stem: nn.Module | None = None,
    ) -> None:
        super().__init__()
        self.tap_names = tuple(spec.taps)
        self.layer_names = tuple(name for name, _ in layers)
        for name, layer in layers:
            self.add_module(name, layer)
            if name == self.layer_names[0] and after_stem is not None:
                self.add_module("after_stem", after_stem)
        self.has_after_stem = after_stem is not None
        self.recovery = spec.recovery
        self.head = head
        self.apply(initialise)

    def forward(self, images: Tensor) -> Tensor:
        """Logits (N, classes) of normalised images (N, C, H, W)."""
        return self.logits_and_features(images)[0]

    def forward_features(self, images: Tensor) -> Tensor:
        """Last feature maps before fusion (N, n, h, w) of normalised images (N, C, H, W)."""
        return self.feature_maps(images)[1]

    def logits_and_features(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Logits (N, classes) and last maps before fusion (N, n, h, w) of normalised images."""
        taps, last = self.feature_maps(images)
        fused = self.recovery(last, *(taps[name] for name in self.tap_names))
        logits: Tensor = self.head(fused)
        return logits, last

    def feature_maps(self, images: Tensor) -> tuple[dict[str, Tensor], Tensor]:
        """All taps by name, each (N, c, H', W'), and the last maps before fusion (N, n, h, w)."""
        maps: dict[str, Tensor] = {}
        x = images
        for name in self.layer_names:
            if len(maps) == 1 and self.has_after_stem:
                x = self.get_submodule("after_stem")(x)
            x = maps[name] = self.get_submodule(name)(x)
        del maps[self.layer_names[-1]]
        return maps, x


def make_stem(spec: NetworkSpec) -> nn.Sequential:
    """The first convolution of ``spec.stem``, BatchNorm, activation."""
    stem = spec.stem
    window = (stem.kernel, stem.stride, stem.padding)
    layers: list[nn.Module]
    if stem.kind == "real":
        layers = [nn.Conv2d(spec.image[0], stem.channels, *window, bias=False)]
    elif stem.kind == "int8":
        settings = replace(spec.binarisation, weights="binary", activations="int8")
        layers = [BinaryConv2d(spec.image[0], stem.channels, *window, binarisation=settings)]
    else:
        settings = replace(spec.binarisation, weights="binary", activations="binary")
        inputs = spec.image[0] * stem.levels
        conv = BinaryConv2d(inputs, stem.channels, *window, binarisation=settings)
        layers = [Thermometer(stem.levels), conv]
    norm, activation = nn.BatchNorm2d(stem.channels), spec.make_activation(stem.channels)
    return Normed(*layers, norm, activation)


def inner_convolution(
    spec: NetworkSpec, stage: Stage, inputs: int, stride: int = 1
) -> BinaryConv2d:
    """A convolution of a stage, from ``inputs`` channels to those of the stage."""
    window = (stage.kernel, stride, stage.kernel // 2)
    return BinaryConv2d(
        inputs, stage.channels, *window, groups=stage.groups, binarisation=spec.binarisation
    )


def pooled_head(channels: int, classes: int) -> nn.Sequential:
    """A head: average over positions, BatchNorm, linear layer."""
    return nn.Sequential(
        OrderedDict(
            pool=nn.AdaptiveAvgPool2d(1),
            flatten=nn.Flatten(),
            bn=nn.BatchNorm1d(channels),
            linear=nn.Linear(channels, classes),
        )
    )


def initialise(module: nn.Module) -> None:
    """Give a convolution or a linear layer random weights (He et al., ICCV 2015)."""
    # not on the meta device: there torch would import its compiler, which takes seconds
    if isinstance(module, nn.Conv2d | nn.Linear) and not module.weight.is_meta:
        nn.init.kaiming_normal_(module.weight)
