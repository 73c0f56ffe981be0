"""Usable information: what a linear classifier can read off a layer about the label.

I_V(features -> Y) = H(Y) - H_V(Y | features), in bits: the label's entropy less the cross-entropy
of the best predictor of a family V on images that it has not seen. Source: Xu et al., "A Theory of
Usable Information under Computational Constraints", ICLR 2020, definition 2. V here: multinomial
logistic regression on the maps averaged to at most 4 x 4 positions and standardised. Other than
Shannon's information it may grow from a layer to the next, where that makes the label easier to
read. Below 0 the probe has learned by heart.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler
from torch import Tensor
from torch.nn import functional

from ir2search.information.attributions import layer_maps
from ir2search.models.network import TappedNetwork

GRID = 4  # positions a side that maps are averaged to
SEEDS = 3  # probes a layer, each fitted to another draw of the images
SHARE = 0.8  # of the fitting images in a draw
STRENGTHS = (1e-3, 1e-2, 1e-1, 1.0)  # inverse, of the L2 penalty; the best on what was not drawn
ITERATIONS = 60


@dataclass(frozen=True)
class Probe:
    """What one layer's probes read.

    Attributes:
        layer: its name.
        bits: (seeds, N) float64: for each held-out image log2 p(y | features) - log2 p(y), whose
            mean over images is the usable information.
    """

    layer: str
    bits: np.ndarray


def pooled_features(
    network: TappedNetwork, images: Tensor, layers: Iterable[str], memory: int
) -> dict[str, np.ndarray]:
    """Each layer's maps, averaged to at most 4 x 4 positions, (N, features), by name."""
    found = layer_maps(network, images, layers, memory, _pooled)
    return {name: features.numpy() for name, features in found.items()}


def probe(
    fitting: dict[str, np.ndarray],
    fitting_labels: np.ndarray,
    held_out: dict[str, np.ndarray],
    labels: np.ndarray,
    seed: int,
    on_layer: Callable[[str], None] = lambda name: None,
) -> list[Probe]:
    """Fit probes to every layer's features, and read the held-out images with them.

    Args:
        fitting: by layer, (M, features).
        fitting_labels: (M,).
        held_out: by layer, (N, features).
        labels: (N,).
        seed: of the draws.
        on_layer: told each layer's name when it is done.
    """
    classes = np.unique(fitting_labels)
    known = np.isin(labels, classes)
    prior = _log_shares(fitting_labels, classes)[np.searchsorted(classes, labels[known])]
    result = []
    for name, features in fitting.items():
        bits = np.full((SEEDS, len(labels)), np.nan)
        strength = None
        for number in range(SEEDS):
            draw = np.random.default_rng([seed, number]).permutation(len(features))
            inside, outside = np.split(draw, [int(SHARE * len(draw))])
            if strength is None:
                strength = _best_strength(features, fitting_labels, inside, outside)
            model, scaler = _fitted(features[inside], fitting_labels[inside], strength)
            found = _log_likelihood(model, scaler, held_out[name][known], labels[known])
            bits[number, known] = (found - prior) / math.log(2)
        result.append(Probe(name, bits))
        on_layer(name)
    return result


def _best_strength(
    features: np.ndarray, labels: np.ndarray, inside: np.ndarray, outside: np.ndarray
) -> float:
    """The penalty whose probe tells most of what was not drawn.

    From the strongest on, each fit starts from the one before it.
    """
    scaler = StandardScaler().fit(features[inside])
    model = _model(STRENGTHS[0], warm_start=True)
    found = {}
    for strength in STRENGTHS:
        model.set_params(C=strength)
        _fit(model, scaler.transform(features[inside]), labels[inside])
        told = _log_likelihood(model, scaler, features[outside], labels[outside])
        found[strength] = float(told.mean())
    return max(found, key=lambda strength: found[strength])


def _fitted(
    features: np.ndarray, labels: np.ndarray, strength: float
) -> tuple[LogisticRegression, StandardScaler]:
    scaler = StandardScaler().fit(features)
    return _fit(_model(strength), scaler.transform(features), labels), scaler


def _model(strength: float, warm_start: bool = False) -> LogisticRegression:
    return LogisticRegression(C=strength, max_iter=ITERATIONS, tol=1e-3, warm_start=warm_start)


def _fit(model: LogisticRegression, features: np.ndarray, labels: np.ndarray) -> LogisticRegression:
    with warnings.catch_warnings():
        # a fit that is stopped early is one more probe, chosen or not by images it has not seen
        warnings.simplefilter("ignore", ConvergenceWarning)
        return model.fit(features, labels)


def _log_likelihood(
    model: LogisticRegression, scaler: StandardScaler, features: np.ndarray, labels: np.ndarray
) -> np.ndarray:
    scores = model.predict_log_proba(scaler.transform(features))
    places = np.searchsorted(model.classes_, labels)
    result: np.ndarray = scores[np.arange(len(labels)), places]
    return result


def _log_shares(labels: np.ndarray, classes: np.ndarray) -> np.ndarray:
    counts = np.array([(labels == value).sum() for value in classes])
    return np.log(counts / counts.sum())


def _pooled(maps: Tensor) -> Tensor:
    size = (min(GRID, maps.shape[2]), min(GRID, maps.shape[3]))
    return functional.adaptive_avg_pool2d(maps, size).flatten(1).float().cpu()
