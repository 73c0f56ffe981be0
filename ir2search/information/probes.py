"""Usable information: what a linear classifier can read off a layer about the label.

I_V(features -> Y) = H(Y) - H_V(Y | features), in bits: the label's entropy less the cross-entropy
of the best predictor of a family V on images that it has not seen. Source: Xu et al., "A Theory of
Usable Information under Computational Constraints", ICLR 2020, definition 2. V here: multinomial
logistic regression on the maps averaged to at most 4 x 4 positions and standardised. Other than
Shannon's information it may grow from a layer to the next, where that makes the label easier to
read. Below 0 the probe has learned by heart.
"""

from __future__ import annotations

import copy
import math
import warnings
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
from scipy.special import log_softmax
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
        model = None
        for number in range(SEEDS):
            draw = np.random.default_rng([seed, number]).permutation(len(features))
            inside, outside = np.split(draw, [int(SHARE * len(draw))])
            scaler = StandardScaler().fit(features[inside])
            scaled, known_labels = scaler.transform(features[inside]), fitting_labels[inside]
            if model is None:
                unseen = scaler.transform(features[outside]), fitting_labels[outside]
                model = _best(scaled, known_labels, *unseen)
            else:
                model = _fitted(model.C, scaled, known_labels)
            found = _log_likelihood(model, scaler.transform(held_out[name][known]), labels[known])
            bits[number, known] = (found - prior) / math.log(2)
        result.append(Probe(name, bits))
        on_layer(name)
    return result


def _best(
    features: np.ndarray, labels: np.ndarray, unseen: np.ndarray, unseen_labels: np.ndarray
) -> LogisticRegression:
    """The probe whose penalty tells most of what was not drawn.

    From the strongest penalty on, each fit starts from the one before it.
    """
    tried, start = [], None
    for strength in STRENGTHS:
        start = _fitted(strength, features, labels, start)
        tried.append(start)
    return max(tried, key=lambda model: _log_likelihood(model, unseen, unseen_labels).mean())


def _fitted(
    strength: float,
    features: np.ndarray,
    labels: np.ndarray,
    start: LogisticRegression | None = None,
) -> LogisticRegression:
    model = LogisticRegression(C=strength, max_iter=ITERATIONS, tol=1e-3)
    if start is not None:
        model = copy.copy(start).set_params(C=strength, warm_start=True)
    with warnings.catch_warnings():
        # a fit that is stopped early is one more probe, chosen or not by images it has not seen
        warnings.simplefilter("ignore", ConvergenceWarning)
        return model.fit(features, labels)


def _log_likelihood(
    model: LogisticRegression, features: np.ndarray, labels: np.ndarray
) -> np.ndarray:
    scores = model.decision_function(features).astype(np.float64)
    if scores.ndim == 1:  # of two classes, the second's
        scores = np.column_stack([np.zeros_like(scores), scores])
    scores = log_softmax(scores, axis=1)  # where probabilities would be 0, their logarithms are not
    places = np.searchsorted(model.classes_, labels)
    result: np.ndarray = scores[np.arange(len(labels)), places]
    return result


def _log_shares(labels: np.ndarray, classes: np.ndarray) -> np.ndarray:
    counts = np.array([(labels == value).sum() for value in classes])
    return np.log(counts / counts.sum())


def _pooled(maps: Tensor) -> Tensor:
    size = (min(GRID, maps.shape[2]), min(GRID, maps.shape[3]))
    return functional.adaptive_avg_pool2d(maps, size).flatten(1).float().cpu()
