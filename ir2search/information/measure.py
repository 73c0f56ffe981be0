"""All measures of a network by layer, beside its twin and itself without recovery, as one table."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

import pandas as pd
import torch
from torch import Tensor

from ir2search.information import rows
from ir2search.information.attributions import (
    MEMORY,
    STEPS,
    LayerAttribution,
    MethodName,
    attribute,
    images_at_once,
    inapplicable,
    layer_maps,
    parts,
    summed,
    surrogate,
)
from ir2search.information.bits import sign_bits
from ir2search.information.chain import Chain
from ir2search.information.faithfulness import faithfulness, random_order
from ir2search.information.intervals import Bootstrap
from ir2search.information.probes import Probe, pooled_features, probe
from ir2search.information.rows import Row
from ir2search.models.network import TappedNetwork

BINARY, TWIN, PLAIN = "binary", "twin", "no recovery"
TRIED = 64  # images on which methods' faithfulness is tried
LIKE_RANDOM = 0.5  # likeness to attributions of shuffled weights, from which on they say nothing


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What is measured, and how exactly.

    Attributes:
        methods: of attribution; those that do not apply to the network are left out.
        layers: whose, by name; all where None.
        steps: points of the quadrature along a path.
        memory: MiB for activations and gradients at once.
        seed: of noise, draws and probes.
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


@dataclass(frozen=True)
class Images:
    """Normalised images, (N, C, H, W) float, with their labels, (N,) int64."""

    images: Tensor
    labels: Tensor


def measure(
    networks: Mapping[str, TappedNetwork],
    images: Images,
    fitting: Images,
    settings: Settings,
    on_step: Callable[[str], None] = lambda name: None,
) -> pd.DataFrame:
    """Measure every layer.

    Args:
        networks: ``"binary"``, the one that is asked about; where there is one ``"twin"``, the
            same without binarisation; and ``"no recovery"``, the same without that; all trained,
            where the images lie.
        images: what is measured on; no network was trained on them.
        fitting: what probes are fitted to.
        settings: all else.
        on_step: told each step when it is done; there are as many as `steps` says.

    Returns:
        A row for each measure of each layer: ``network``; ``layer``; ``method`` of attribution,
        or ``"attention"``, where it is of a map; ``surrogate``, which gradient of the sign the
        method used; ``measure``; ``item``, the channel, seed, or step where it is one's;
        ``unit``; ``value``; ``low`` and ``high``, its 95% bootstrap interval over images.
    """
    work = _Measurement(networks, images, fitting, settings, on_step)
    found = [
        *work.attributions(),
        *work.faithfulness(),
        *work.maps(),
        *work.signs(),
        *work.probes(),
    ]
    return pd.DataFrame(found, columns=list(rows.COLUMNS))


def steps(networks: Mapping[str, TappedNetwork], images: Images, settings: Settings) -> int:
    """How often `measure` tells ``on_step``."""
    layers = {name: len(wanted_layers(network, settings)) for name, network in networks.items()}
    methods = len(applicable(networks[BINARY], settings))
    attributed = sum(
        layers[name] * parts(network, images.images, settings.memory)
        for name, network in networks.items()
        if name != PLAIN
    )
    return methods * (attributed + 1) + 2 + sum(layers.values())


def applicable(network: TappedNetwork, settings: Settings) -> list[MethodName]:
    """The settings' methods that apply to a network."""
    return [method for method in settings.methods if inapplicable(method, network) is None]


def wanted_layers(network: TappedNetwork, settings: Settings) -> list[str]:
    """The settings' layers, as far as a network has them, in order of depth."""
    known = Chain(network).cuts
    return [name for name in known if settings.layers is None or name in settings.layers]


def trust(table: pd.DataFrame) -> pd.DataFrame:
    """Which attribution methods are to be trusted on the network, the most faithful first.

    Trusted is a method whose pixels matter more than pixels at random do (the interval of
    insertion less deletion lies above that of a random order), and whose attributions change with
    the weights (the interval of their likeness after randomisation lies below 0.5).

    Args:
        table: of `measure`.

    Returns:
        By ``method``: ``faithfulness`` beyond chance with its ``low``, ``likeness`` after
        randomisation with its ``high``, and whether it is ``trusted``.
    """
    by_method = table.dropna(subset="method").set_index("method")
    faithful = by_method[by_method["measure"] == "faithfulness beyond chance"]
    alike = by_method[by_method["measure"] == "likeness after randomisation"]
    result = pd.DataFrame(
        {
            "faithfulness": faithful["value"],
            "low": faithful["low"],
            "likeness": alike["value"],
            "high": alike["high"],
        }
    ).dropna()
    result["trusted"] = (result["low"] > 0) & (result["high"] < LIKE_RANDOM)
    return result.sort_values(["trusted", "faithfulness"], ascending=False).reset_index()


@dataclass(frozen=True)
class _Measurement:
    networks: Mapping[str, TappedNetwork]
    images: Images
    fitting: Images
    settings: Settings
    on_step: Callable[[str], None]

    @cached_property
    def resampled(self) -> Bootstrap:
        return Bootstrap(len(self.images.labels), self.settings.seed)

    def attributions(self) -> Iterator[Row]:
        methods = applicable(self.networks[BINARY], self.settings)
        every = {name: self._attributed(name, methods) for name in self.networks if name != PLAIN}
        for method in methods:
            found = {
                name: [one for one in layers if one.method == method]
                for name, layers in every.items()
            }
            for name, layers in found.items():
                yield from rows.of_attributions(self._about(name, method), layers, self.resampled)
            if TWIN in found:
                about = self._about(BINARY, method)
                yield from rows.of_both_attributions(
                    about, found[BINARY], found[TWIN], self.resampled
                )

    def faithfulness(self) -> Iterator[Row]:
        network, settings = self.networks[BINARY], self.settings
        images, labels = self.images.images[:TRIED], self.images.labels[:TRIED]
        resampled = Bootstrap(len(labels), settings.seed)
        by_chance = random_order(network, images, labels, settings.seed)
        yield from rows.of_faithfulness({"network": BINARY}, by_chance, by_chance, resampled)
        for method in applicable(network, settings):
            found = faithfulness(
                network,
                images,
                labels,
                method,
                seed=settings.seed,
                steps=settings.steps,
                memory=settings.memory,
            )
            about = self._about(BINARY, method)
            yield from rows.of_faithfulness(about, found, by_chance, resampled)
            self.on_step(f"faithfulness of {method}")

    def maps(self) -> Iterator[Row]:
        for layers in self._groups():
            maps = {
                name: layer_maps(network, self.images.images, layers, self.settings.memory)
                for name, network in self.networks.items()
                if name != PLAIN
            }
            for name, by_layer in maps.items():
                for layer, values in by_layer.items():
                    about = {"network": name, "layer": layer}
                    yield from rows.of_attention(about, values, self.resampled)
                    yield from rows.of_registered(about, values, self.resampled)
            if TWIN in maps:
                for layer, values in maps[BINARY].items():
                    about = {"network": BINARY, "layer": layer}
                    yield from rows.of_both_maps(about, values, maps[TWIN][layer], self.resampled)
        self.on_step("attention maps")

    def _groups(self) -> list[list[str]]:
        """Layers, as many at a time as have maps of all images within the memory."""
        network, images = self.networks[BINARY], self.images.images
        with torch.no_grad():
            maps, _ = Chain(network).maps(images[:1])
        room = self.settings.memory * 2**20 / len(self.networks) / len(images)
        groups: list[list[str]] = []
        left = 0.0
        for layer in wanted_layers(network, self.settings):
            if not groups or maps[layer].nbytes > left:
                groups.append([])
                left = room
            groups[-1].append(layer)
            left -= maps[layer].nbytes
        return groups

    def signs(self) -> Iterator[Row]:
        network = self.networks[BINARY]
        batch = images_at_once(network, self.images.images, self.settings.memory)
        wanted = wanted_layers(network, self.settings)
        for found in sign_bits(network, self.images.images, self.settings.seed, batch):
            if any(found.layer.startswith(f"{layer}.") for layer in wanted):
                yield from rows.of_signs({"network": BINARY}, found, self.resampled)
        self.on_step("signs")

    def probes(self) -> Iterator[Row]:
        for name in self.networks:
            yield from rows.of_probes({"network": name}, self._probed(name), self.resampled)

    def _probed(self, name: str) -> list[Probe]:
        network, memory = self.networks[name], self.settings.memory
        layers = wanted_layers(network, self.settings)
        return probe(
            pooled_features(network, self.fitting.images, layers, memory),
            self.fitting.labels.cpu().numpy(),
            pooled_features(network, self.images.images, layers, memory),
            self.images.labels.cpu().numpy(),
            self.settings.seed,
            lambda layer: self.on_step(f"{name}: probes of {layer}"),
        )

    def _attributed(self, name: str, methods: list[MethodName]) -> list[LayerAttribution]:
        network = self.networks[name]
        return attribute(
            network,
            self.images.images,
            self.images.labels,
            methods,
            wanted_layers(network, self.settings),
            steps=self.settings.steps,
            memory=self.settings.memory,
            keep=summed,
            on_layer=lambda layer: self.on_step(f"{name}: {layer}"),
        )

    def _about(self, name: str, method: MethodName) -> Row:
        return {
            "network": name,
            "method": method,
            "surrogate": surrogate(method, self.networks[name]),
        }
