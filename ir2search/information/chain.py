"""A network as a chain of layers that can be cut, and run from the cut onwards.

Tapped feature maps bypass the layers after them on their way to the fusion, so a layer alone does
not carry everything that reaches the logits. A *cut* is therefore a layer together with the taps of
the layers before it: every path from the image to the logits crosses it once. A tap has its own
tensor, so its gradient belongs to the path through the tap only.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ir2search.models.network import TappedNetwork
from ir2search.nn import BinaryConv2d

INPUT, RECOVERY = "input", "recovery"
TAP = "tap of "


@dataclass(frozen=True)
class Cut:
    """A layer, and the taps that bypass it.

    Attributes:
        name: name of the layer.
        bypassing: names of the taps.
    """

    name: str
    bypassing: tuple[str, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """Names of all maps of the cut; the layer is first."""
        return (self.name, *self.bypassing)


class Chain:
    """The layers of a network that have a feature map: the input, the stem, units, the recovery.

    Args:
        network: runs in its current mode, without hooks.

    Attributes:
        units: modules by name, in order of depth: the stem and the units of each stage.
        taps: names of the tapped units.
        cuts: by name of the layer, in order of depth.
    """

    def __init__(self, network: TappedNetwork) -> None:
        self.network = network
        self.units = {
            unit: network.get_submodule(unit)
            for layer in network.layer_names
            for unit in _units(network, layer)
        }
        self.taps = [_units(network, layer)[-1] for layer in network.tap_names]
        passed: list[str] = []
        self.cuts = {INPUT: Cut(INPUT)}
        for unit in self.units:
            self.cuts[unit] = Cut(unit, tuple(passed))
            if unit in self.taps:
                passed.append(TAP + unit)
        if network.tap_names:
            self.cuts[RECOVERY] = Cut(RECOVERY)

    def maps(self, images: Tensor) -> tuple[dict[str, Tensor], Tensor]:
        """The maps of every layer and tap, (N, c, h, w), by name, and the logits."""
        maps = {INPUT: images}
        logits = self._run_after(INPUT, maps)
        return maps, logits

    def after(self, cut: Cut) -> After:
        """The part of the network after a cut, a function from the cut's maps to the logits."""
        return After(self, cut)

    def _run_after(self, name: str, maps: dict[str, Tensor]) -> Tensor:
        """Run the layers after a layer, from the maps of its cut; add their maps to ``maps``."""
        network, names = self.network, list(self.units)
        x = maps[name]
        if name == RECOVERY:
            return _logits(network, x)
        self._tap(name, x, maps)
        for unit in names[names.index(name) + 1 if name in names else 0 :]:
            if network.has_after_stem and unit == names[1]:
                x = network.get_submodule("after_stem")(x)
            x = maps[unit] = self.units[unit](x)
            self._tap(unit, x, maps)
        fused = network.recovery(x, *(maps[TAP + unit] for unit in self.taps))
        if RECOVERY in self.cuts:
            maps[RECOVERY] = fused
        return _logits(network, fused)

    def _tap(self, unit: str, x: Tensor, maps: dict[str, Tensor]) -> None:
        if unit in self.taps:
            maps[TAP + unit] = x.view_as(x)


class After(nn.Module):
    """The part of a network after a cut: a function of the cut's maps."""

    def __init__(self, chain: Chain, cut: Cut) -> None:
        super().__init__()
        self.network = chain.network  # registers its parameters
        self._chain, self._cut = chain, cut

    def forward(self, *maps: Tensor) -> Tensor:
        """Logits (N, classes) from the cut's maps, in the order of `Cut.names`."""
        with torch.enable_grad():  # selects differentiable kernels, also for a caller in no_grad
            return self._chain._run_after(
                self._cut.name, dict(zip(self._cut.names, maps, strict=True))
            )


def sign_layers(network: nn.Module) -> dict[str, BinaryConv2d]:
    """The convolutions that take the sign of their input, by name, in order of depth."""
    return {
        name: module
        for name, module in network.named_modules()
        if isinstance(module, BinaryConv2d) and module.binarisation.activations == "binary"
    }


def _logits(network: TappedNetwork, fused: Tensor) -> Tensor:
    logits: Tensor = network.head(fused)
    return logits


def _units(network: TappedNetwork, layer: str) -> list[str]:
    """Names of the units of a layer; a layer that is not a stage is one unit."""
    if not layer.startswith("stage"):
        return [layer]
    return [f"{layer}.{name}" for name, _ in network.get_submodule(layer).named_children()]
