"""What all networks have in common: layers with named taps, recovery, a head."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field

from torch import Tensor, nn

from ir2search.choices import Activation
from ir2search.nn import Binarisation, InformationRecovery, make_activation


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What a family of networks needs to know to build one.

    Attributes:
        depth: layers, as the family counts them.
        channels: of the stem.
        image: (channels, height, width) of the images.
        classes: number of classes.
        taps: names of the feature maps that feed recovery, in order of depth.
        recovery: built for those taps.
        binarisation: of the inner convolutions.
        activation: after every BatchNorm or shortcut.
    """

    depth: int
    channels: int
    image: tuple[int, int, int]
    classes: int
    taps: Sequence[str]
    recovery: InformationRecovery
    binarisation: Binarisation = field(default_factory=Binarisation)
    activation: Activation = "hardtanh"

    def make_activation(self, channels: int) -> nn.Module:
        """The activation for feature maps of so many channels."""
        return make_activation(self.activation, channels)


class TappedNetwork(nn.Module):
    """Layers one after the other, of which all but the last can be tapped.

    Args:
        plan: what to build.
        layers: by name, in order; the last one's maps are those that recovery fuses into.
        head: from fused maps (N, n, h, w) to logits (N, classes).
        after_stem: between the first layer's tap and the second layer.
    """

    def __init__(
        self,
        plan: Plan,
        layers: Sequence[tuple[str, nn.Module]],
        head: nn.Module,
        after_stem: nn.Module | None = None,
    ) -> None:
        super().__init__()
        self.tap_names = tuple(plan.taps)
        self.layer_names = tuple(name for name, _ in layers)
        for name, layer in layers:
            self.add_module(name, layer)
            if name == self.layer_names[0] and after_stem is not None:
                self.add_module("after_stem", after_stem)
        self.has_after_stem = after_stem is not None
        self.recovery = plan.recovery
        self.head = head
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


def pooled_head(channels: int, classes: int) -> nn.Sequential:
    """Average over positions, BatchNorm, linear."""
    return nn.Sequential(
        OrderedDict(
            pool=nn.AdaptiveAvgPool2d(1),
            flatten=nn.Flatten(),
            bn=nn.BatchNorm1d(channels),
            linear=nn.Linear(channels, classes),
        )
    )


def _initialise(module: nn.Module) -> None:
    if isinstance(module, nn.Conv2d | nn.Linear) and not module.weight.is_meta:
        nn.init.kaiming_normal_(
            module.weight
        )  # on "meta", torch loads its compiler to draw nothing
