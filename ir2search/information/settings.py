"""The settings of an information analysis."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from ir2search import text
from ir2search.errors import InputError
from ir2search.information.attributions import (
    METHODS,
    STEPS,
    MethodName,
    check_applicable,
    inapplicable,
)
from ir2search.information.chain import Chain
from ir2search.information.passes import MEMORY
from ir2search.models.network import TappedNetwork


@dataclass(frozen=True, kw_only=True)
class Settings:
    """The settings of an information analysis.

    Attributes:
        methods: attribution methods; those that do not apply to the network are left out.
        layers: names of the layers to measure; None for all.
        steps: points of the quadrature along a path from the baseline to the image.
        memory: limit for activations and gradients, in MiB.
        seed: seed of noise, draws and probes.
        sweep: whether the precision of each layer is changed, see
            `ir2search.information.sensitivity`.
    """

    methods: tuple[MethodName, ...] = (
        "conductance",
        "gradient_x_activation",
        "grad_cam",
        "deeplift",
        "feature_ablation",
    )
    layers: tuple[str, ...] | None = None
    steps: int = STEPS
    memory: int = MEMORY
    seed: int = 0
    sweep: bool = True

    def methods_for(self, network: TappedNetwork) -> list[MethodName]:
        """The methods that apply to a network."""
        return [method for method in self.methods if inapplicable(method, network) is None]

    def layers_of(self, network: TappedNetwork) -> list[str]:
        """The chosen layers that a network has, in order of depth."""
        known = Chain(network).cuts
        return [name for name in known if self.layers is None or name in self.layers]

    def prefixes(self, network: TappedNetwork) -> tuple[str, ...]:
        """Beginnings of the names of all modules in the chosen layers, for `str.startswith`."""
        return tuple(f"{layer}." for layer in self.layers_of(network))


def settings_for(
    network: TappedNetwork,
    layers: Sequence[str] | None = None,
    methods: Sequence[MethodName] | None = None,
    memory: int = MEMORY,
    sweep: bool = True,
) -> Settings:
    """Check settings against a network.

    Args:
        network: the network to measure.
        layers: names of layers or of whole stages; None for all layers.
        methods: attribution methods; None for the default ones that apply to the network.
        memory: limit for activations and gradients, in MiB, at least 1.
        sweep: whether the precision of each layer is changed.

    Raises:
        InputError: an unknown layer or method, an empty list of them, a method that does not apply
            to the network, or too little memory.
    """
    if memory < 1:
        raise InputError(f"memory: must be at least 1 MiB, but got {memory}")
    for name, given in (("methods", methods), ("layers", layers)):
        if given is not None and not given:
            raise InputError(f"{name}: is empty; name at least one, or leave it out")
    settings = Settings(memory=memory, sweep=sweep)
    if methods is not None:
        for method in methods:
            if method not in METHODS:
                raise InputError(f"methods: no method {method!r}; {text.suggest(method, METHODS)}")
        check_applicable(methods, network)
        settings = replace(settings, methods=tuple(methods))
    if layers is not None:
        settings = replace(settings, layers=_known_layers(network, layers))
    return settings


def _known_layers(network: TappedNetwork, names: Sequence[str]) -> tuple[str, ...]:
    known = list(Chain(network).cuts)
    chosen = set()
    for name in names:
        found = {each for each in known if each == name or each.startswith(f"{name}.")}
        if not found:
            raise InputError(f"layers: no layer {name!r}; {text.suggest(name, known)}")
        chosen |= found
    return tuple(each for each in known if each in chosen)
