"""How sensitive a network is to the precision of each layer, as rows of the table of measures.

A change alone is compared with the unchanged network on the same images (paired bootstrap). In
these rows ``method`` is the part that changes: weights, activations or both. ``network`` is
``"twin"`` for the full-precision twin with this part binarised, and ``"binary"`` for the binary
network with this part released.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial

from ir2search.costs import Cost
from ir2search.costs.count import BOPS_PER_OP
from ir2search.information.images import Images
from ir2search.information.intervals import Bootstrap, Estimate
from ir2search.information.interventions import (
    Change,
    binarised,
    binarised_layers,
    changes,
    released,
)
from ir2search.information.noise_ratio import NoiseRatio, decibels, graph_ratios, local_ratios
from ir2search.information.passes import images_at_once
from ir2search.information.rows import Row, row
from ir2search.information.settings import Settings
from ir2search.information.sweep import (
    AT_ONCE,
    CALIBRATING,
    Classified,
    Intervention,
    classified,
    passes,
    sweep,
)
from ir2search.measures.names import (
    ACCURACY,
    ACCURACY_BEYOND_TWIN,
    ACCURACY_CHANGE,
    BINARY,
    CEILING,
    GRAPH_NOISE,
    LOCAL_NOISE,
    LOSS_CHANGE,
    RELEASED_OPS,
    TWIN,
    WHOLE,
)
from ir2search.models.network import TappedNetwork
from ir2search.nn import BinaryConv2d

POINTS = 100  # percentage points in a share of 1


@dataclass(frozen=True)
class Sensitivity:
    """What the measures of sensitivity need.

    Attributes:
        networks: the binary network, and if known its twin and the network without recovery.
        images: images to measure on.
        fitting: training images; BatchNorms and fits use the first `CALIBRATING`.
        settings: layers, memory and seed.
        on_step: called with the name of each step that is done, `steps` times.
    """

    networks: Mapping[str, TappedNetwork]
    images: Images
    fitting: Images
    settings: Settings
    on_step: Callable[[str], None] = lambda name: None

    @property
    def steps(self) -> int:
        """How often ``on_step`` is called."""
        numbers = len(self.images), min(CALIBRATING, len(self.fitting))
        swept = sum(
            passes(len(found), *numbers, self._at_once(name))
            for name, (found, _) in self._sweeps().items()
        )
        return swept + 2

    def rows(self) -> Iterator[Row]:
        """Accuracies, then the sweeps, then the ratios of signal and noise."""
        resampled = Bootstrap(len(self.images), self.settings.seed)
        calibrating = self.fitting.first(CALIBRATING)
        yield from self._accuracies(resampled)
        for name, (found, intervene) in self._sweeps().items():
            if not found:
                continue
            what = "binarised" if name == TWIN else "released"
            own, changed = sweep(
                self.networks[name],
                found,
                intervene,
                self.images,
                calibrating,
                self._at_once(name),
                lambda layer, what=what: self.on_step(f"{layer} {what}"),  # type: ignore[misc]
            )
            for change, result in zip(found, changed, strict=True):
                about = {"network": name, "layer": change.layer, "method": change.part}
                yield from _of_change(about, own, result, resampled)
        yield from self._ratios(calibrating, resampled)

    def _sweeps(self) -> dict[str, tuple[list[Change], Intervention]]:
        """The changes of each network, and what makes them."""
        layers = binarised_layers(self.networks[BINARY])
        found: dict[str, tuple[list[Change], Intervention]] = {
            BINARY: (self._chosen(self.networks[BINARY]), released)
        }
        if TWIN in self.networks:
            make = partial(binarised, layers=layers)
            found[TWIN] = self._chosen(self.networks[TWIN]), make
        return found

    def _chosen(self, network: TappedNetwork) -> list[Change]:
        """The changes that only change layers of the settings."""
        every = changes(network, binarised_layers(self.networks[BINARY]))
        inside = self.settings.prefixes(network)
        return [
            each for each in every if all(name.startswith(inside) for name in each.convolutions)
        ]

    def _at_once(self, name: str) -> int:
        network, memory = self.networks[name], self.settings.memory
        return images_at_once(network, self.images.shape, memory, gradients=False)

    def _accuracies(self, resampled: Bootstrap) -> Iterator[Row]:
        found = {
            name: classified(network, self.images, min(AT_ONCE, self._at_once(name)))
            for name, network in self.networks.items()
        }
        for name, result in found.items():
            about = {"network": name, "layer": WHOLE}
            yield row(about, ACCURACY, resampled.mean(result.correct))
            if name != TWIN and TWIN in found:
                beyond = POINTS * (result.correct - found[TWIN].correct)
                yield row(about, ACCURACY_BEYOND_TWIN, resampled.mean(beyond))

    def _ratios(self, fitting: Images, resampled: Bootstrap) -> Iterator[Row]:
        network = self.networks[BINARY]
        at_once = min(AT_ONCE, self._at_once(BINARY))
        layers, inside = self.settings.layers_of(network), self.settings.prefixes(network)
        for found in local_ratios(network, self.images, fitting, at_once):
            if found.layer.startswith(inside):
                yield _of_ratio(LOCAL_NOISE, found, resampled)
        self.on_step("local noise")
        if TWIN in self.networks:
            twin = self.networks[TWIN]
            for found in graph_ratios(network, twin, self.images, fitting, at_once):
                if found.layer in layers:
                    yield _of_ratio(GRAPH_NOISE, found, resampled)
        self.on_step("noise against the twin")


def operations(network: TappedNetwork, cost: Cost) -> Iterator[Row]:
    """How many more OPs each layer, each stage and the network cost if they are released.

    A released convolution counts its multiply-accumulates as FLOPs, whichever part is released.

    Args:
        network: the binary network.
        cost: of this network, see `ir2search.cost`.
    """
    layers = binarised_layers(network)
    bops = {each.name: each.bops for each in cost.rows}
    more = {}
    for change in changes(network, layers):
        added = 0.0
        for name in change.convolutions:
            layer = network.get_submodule(name)
            assert isinstance(layer, BinaryConv2d)
            planes = max(1, layer.bit_planes)  # 0 for a layer in full precision, without BOPs
            added += bops[name] * (1 / planes - 1 / BOPS_PER_OP)
        more[change.layer] = added
    for part, value in more.items():
        yield row({"network": BINARY, "layer": part}, RELEASED_OPS, Estimate(value))


def ceiling(classes: int) -> Row:
    """The largest possible information about the label, in bits: log2 of the number of classes."""
    about = {"network": BINARY, "layer": WHOLE}
    return row(about, CEILING, Estimate(math.log2(classes)))


def _of_change(
    about: Row, own: Classified, changed: Classified, resampled: Bootstrap
) -> Iterator[Row]:
    points = POINTS * (changed.correct - own.correct)
    yield row(about, ACCURACY_CHANGE, resampled.mean(points))
    yield row(about, LOSS_CHANGE, resampled.mean(changed.loss - own.loss))


def _of_ratio(measure: str, found: NoiseRatio, resampled: Bootstrap) -> Row:
    ratio = resampled.ratio(found.signal, found.noise)
    estimate = Estimate(*map(decibels, (ratio.value, ratio.low, ratio.high)))
    return row({"network": BINARY, "layer": found.layer}, measure, estimate)
