"""All information measures of a network by layer, as one table."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property, partial

import pandas as pd
import torch
from torch import Tensor

from ir2search.information import rows
from ir2search.information.attributions import (
    LayerAttribution,
    MethodName,
    attribute_batches,
    surrogate,
    without_own,
)
from ir2search.information.bits import sign_bits
from ir2search.information.faithfulness import Faithfulness, faithfulness, random_order
from ir2search.information.images import Images
from ir2search.information.intervals import Bootstrap
from ir2search.information.parallel import StepDone, parts_at_once, run_parts
from ir2search.information.passes import images_at_once, layer_maps, map_sizes
from ir2search.information.probes import Probe, pooled_features, probe
from ir2search.information.rows import Row
from ir2search.information.sensitivity import Sensitivity
from ir2search.information.settings import Settings
from ir2search.measures.names import BINARY, COLUMNS, PLAIN, TWIN
from ir2search.models.network import TappedNetwork

TESTED_IMAGES = 64  # for the tests of faithfulness


def measure(
    networks: Mapping[str, TappedNetwork],
    images: Images,
    fitting: Images,
    settings: Settings,
    on_step: Callable[[str], None] = lambda name: None,
) -> pd.DataFrame:
    """Measure every layer of a network and of the networks that it is compared with.

    Args:
        networks: ``"binary"`` is the network to measure; ``"twin"`` is the same network without
            binarisation, and ``"no recovery"`` without recovery; both are optional. All are
            trained and on the device of the images.
        images: images to measure on; no network was trained on them.
        fitting: images that the probes are fitted to.
        settings: methods, layers, memory, ...
        on_step: called with the name of each step that is done, `steps` times.

    Returns:
        A row for each measure of each layer. Columns: ``network``; ``layer``; ``method``, an
        attribution method, ``"attention"`` for a measure of a map, or the part of a layer whose
        precision is changed, see `ir2search.information.sensitivity`; ``surrogate``, the surrogate
        gradient of the method; ``measure``; ``item``, the number of a channel, seed or step;
        ``unit``; ``value``; ``low`` and ``high``, the 95% bootstrap interval over images.
    """
    work = _Measurement(networks, images, fitting, settings, on_step)
    sensitivity = Sensitivity(networks, images, fitting, settings, on_step)
    found = [
        *(sensitivity.rows() if settings.sweep else ()),
        *work.attributions(),
        *work.faithfulness(),
        *work.maps(),
        *work.signs(),
        *work.probes(),
    ]
    return pd.DataFrame(found, columns=list(COLUMNS))


def steps(
    networks: Mapping[str, TappedNetwork], images: Images, fitting: Images, settings: Settings
) -> int:
    """How often `measure` calls ``on_step``."""
    layers = {name: len(settings.layers_of(network)) for name, network in networks.items()}
    methods = len(settings.methods_for(networks[BINARY]))
    attributed = sum(
        layers[name] * -(-len(images) // _attributed_at_once(networks, name, images, settings))
        for name in _attributed_networks(networks)
    )
    swept = Sensitivity(networks, images, fitting, settings).steps if settings.sweep else 0
    return swept + methods * (attributed + 1) + 2 + sum(layers.values())


def _attributed_networks(networks: Mapping[str, TappedNetwork]) -> list[str]:
    """Names of the networks whose logits are attributed to their layers."""
    return [name for name in networks if name != PLAIN]


def _attributed_at_once(
    networks: Mapping[str, TappedNetwork], name: str, images: Images, settings: Settings
) -> int:
    """Images in a pass of a network's attributions: networks at the same time share the memory."""
    at_once = parts_at_once(_device(networks), len(_attributed_networks(networks)))
    return images_at_once(networks[name], images.shape, settings.memory // at_once)


def _device(networks: Mapping[str, TappedNetwork]) -> torch.device:
    return next(networks[BINARY].parameters()).device


@dataclass(frozen=True)
class _Measurement:
    networks: Mapping[str, TappedNetwork]
    images: Images
    fitting: Images
    settings: Settings
    on_step: Callable[[str], None]

    @cached_property
    def resampled(self) -> Bootstrap:
        return Bootstrap(len(self.images), self.settings.seed)

    def attributions(self) -> Iterator[Row]:
        methods = self.settings.methods_for(self.networks[BINARY])
        names = _attributed_networks(self.networks)
        attributed = partial(self._attributed, methods)
        found = run_parts(attributed, names, self.on_step, _device(self.networks))
        every = dict(zip(names, found, strict=True))
        for method in methods:
            by_name = {
                name: [one for one in layers if one.method == method]
                for name, layers in every.items()
            }
            for name, layers in by_name.items():
                yield from rows.of_attributions(self._about(name, method), layers, self.resampled)
            if TWIN in by_name:
                about = self._about(BINARY, method)
                yield from rows.of_both_attributions(
                    about, by_name[BINARY], by_name[TWIN], self.resampled
                )

    def faithfulness(self) -> Iterator[Row]:
        network, settings = self.networks[BINARY], self.settings
        images, labels = self.images.first(TESTED_IMAGES).whole()
        resampled = Bootstrap(len(labels), settings.seed)
        at_random = random_order(network, images, labels, settings.seed)
        yield from rows.of_faithfulness({"network": BINARY}, at_random, at_random, resampled)
        methods = settings.methods_for(network)
        memory = settings.memory // parts_at_once(images.device, len(methods))

        def tested(method: MethodName, on_step: StepDone) -> Faithfulness:
            found = faithfulness(
                copy.deepcopy(network),
                images,
                labels,
                method,
                seed=settings.seed,
                steps=settings.steps,
                memory=memory,
            )
            on_step(f"faithfulness of {method}")
            return found

        every = run_parts(tested, methods, self.on_step, images.device)
        for method, found in zip(methods, every, strict=True):
            about = self._about(BINARY, method)
            yield from rows.of_faithfulness(about, found, at_random, resampled)

    def maps(self) -> Iterator[Row]:
        for layers in self._groups():
            maps = {
                name: layer_maps(network, self._batches(network), layers)
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
        """Layers in groups whose maps of all images fit into the memory together."""
        network = self.networks[BINARY]
        sizes = map_sizes(network, self.images.shape)
        room = self.settings.memory * 2**20 / len(self.networks) / len(self.images)
        groups: list[list[str]] = []
        left = 0.0
        for layer in self.settings.layers_of(network):
            if not groups or sizes[layer] > left:
                groups.append([])
                left = room
            groups[-1].append(layer)
            left -= sizes[layer]
        return groups

    def signs(self) -> Iterator[Row]:
        network = self.networks[BINARY]
        inside = self.settings.prefixes(network)
        for found in sign_bits(network, self._batches(network), self.settings.seed):
            if found.layer.startswith(inside):
                yield from rows.of_signs({"network": BINARY}, found, self.resampled)
        self.on_step("signs")

    def probes(self) -> Iterator[Row]:
        found = {name: self._probed(name) for name in self.networks}
        for name, probes in found.items():
            yield from rows.of_probes({"network": name}, probes, self.resampled)
            if name != TWIN and TWIN in found:
                about = {"network": name}
                yield from rows.of_both_probes(about, probes, found[TWIN], self.resampled)

    def _probed(self, name: str) -> list[Probe]:
        network, memory = self.networks[name], self.settings.memory
        layers = self.settings.layers_of(network)
        return probe(
            pooled_features(network, self.fitting, layers, memory),
            self.fitting.labels.cpu().numpy(),
            pooled_features(network, self.images, layers, memory),
            self.images.labels.cpu().numpy(),
            self.settings.seed,
            lambda layer: self.on_step(f"{name}: probes of {layer}"),
        )

    def _attributed(
        self, methods: list[MethodName], name: str, on_step: StepDone
    ) -> list[LayerAttribution]:
        network, settings = self.networks[name], self.settings
        at_once = _attributed_at_once(self.networks, name, self.images, settings)
        return attribute_batches(
            network,
            self.images.batches(at_once),
            methods,
            settings.layers_of(network),
            at_once=at_once,
            steps=settings.steps,
            keep=without_own,
            on_layer=lambda layer: on_step(f"{name}: {layer}"),
        )

    def _batches(self, network: TappedNetwork) -> Iterator[Tensor]:
        at_once = images_at_once(network, self.images.shape, self.settings.memory)
        return (images for images, _ in self.images.batches(at_once))

    def _about(self, name: str, method: MethodName) -> Row:
        return {
            "network": name,
            "method": method,
            "surrogate": surrogate(method, self.networks[name]),
        }
