"""Usable information: what a linear classifier can read from a layer about the label.

I_V(features -> Y) = H(Y) - H_V(Y | features), in bits: the entropy of the label minus the
cross-entropy of the best predictor in a family V on unseen images. Source: Xu et al., "A Theory of
Usable Information under Computational Constraints", ICLR 2020, definition 2. V is multinomial
logistic regression on standardised maps, averaged to at most 4 x 4 positions. Unlike Shannon's
information, usable information may rise from one layer to the next: a layer can make the label
easier to read. It is negative if the probe overfits.
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

from ir2search.blas import on_one_thread
from ir2search.information.images import Images
from ir2search.information.passes import images_at_once, layer_maps
from ir2search.models.network import TappedNetwork

GRID = 4  # maps are averaged to at most 4 x 4 positions
SEEDS = 3  # probes for each layer; each is fitted to another draw of the images
SHARE = 0.8  # of the images are drawn to fit a probe
STRENGTHS = (1e-3, 1e-2, 1e-1, 1.0)  # inverse L2 penalties, chosen on the other images
ITERATIONS = 60


@dataclass(frozen=True)
class Probe:
    """The information that the probes of one layer read.

    Attributes:
        layer: name of the layer.
        bits: (seeds, N) float64: log2 p(y | features) - log2 p(y) of each held-out image; the
            mean over images is the usable information. NaN for classes not among the fitted images.
    """

    layer: str
    bits: np.ndarray


def pooled_features(
    network: TappedNetwork, images: Images, layers: Iterable[str], memory: int
) -> dict[str, np.ndarray]:
    """The maps of each layer, averaged to at most 4 x 4 positions, (N, features), by name.

    Activations take ``memory`` MiB at most.
    """
    at_once = images_at_once(network, images.shape, memory)
    batches = (some for some, _ in images.batches(at_once))
    found = layer_maps(network, batches, layers, _pooled)
    return {name: features.numpy() for name, features in found.items()}


@on_one_thread()
def probe(
    fitting: dict[str, np.ndarray],
    fitting_labels: np.ndarray,
    held_out: dict[str, np.ndarray],
    labels: np.ndarray,
    seed: int,
    on_layer: Callable[[str], None] = lambda name: None,
) -> list[Probe]:
    """Fit probes to the features of every layer, and evaluate them on held-out images.

    Args:
        fitting: by layer, features (M, features) of the images to fit to.
        fitting_labels: labels (M,) of these images.
        held_out: by layer, features (N, features) of the held-out images.
        labels: labels (N,) of these images.
        seed: seed of the draws.
        on_layer: called with the name of each layer that is done.
    """
    classes = np.unique(fitting_labels)
    known = np.isin(labels, classes)
    prior = _log_shares(fitting_labels, classes)[np.searchsorted(classes, labels[known])]
    result = []
    for name, features in fitting.items():
        bits = np.full((SEEDS, len(labels)), np.nan)
        model = None
        for number in range(SEEDS if len(classes) > 1 else 0):
            inside, outside = _drawn(fitting_labels, np.random.default_rng([seed, number]))
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


def _drawn(labels: np.ndarray, generator: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Indices of the images to fit to, at least one of each class, and those of the others."""
    draw = generator.permutation(len(labels))
    inside, outside = np.split(draw, [int(SHARE * len(draw))])
    missing, first = np.unique(labels[outside], return_index=True)
    moved = first[~np.isin(missing, labels[inside])]
    return np.append(inside, outside[moved]), np.delete(outside, moved)


def _best(
    features: np.ndarray, labels: np.ndarray, unseen: np.ndarray, unseen_labels: np.ndarray
) -> LogisticRegression:
    """The probe with the penalty that gives unseen images the highest likelihood.

    The strongest penalty comes first; each fit starts from the result of the fit before it.
    """
    tried, start = [], None
    for strength in STRENGTHS:
        start = _fitted(strength, features, labels, start)
        tried.append(start)
    if not len(unseen):
        return tried[0]
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
        # a fit that stops early is a valid probe too: unseen images select the probe
        warnings.simplefilter("ignore", ConvergenceWarning)
        return model.fit(features, labels)


def _log_likelihood(
    model: LogisticRegression, features: np.ndarray, labels: np.ndarray
) -> np.ndarray:
    scores = model.decision_function(features).astype(np.float64)
    if scores.ndim == 1:  # with two classes, scikit-learn gives the score of the second
        scores = np.column_stack([np.zeros_like(scores), scores])
    scores = log_softmax(scores, axis=1)  # finite even if a probability rounds to 0
    places = np.searchsorted(model.classes_, labels)
    result: np.ndarray = scores[np.arange(len(labels)), places]
    return result


def _log_shares(labels: np.ndarray, classes: np.ndarray) -> np.ndarray:
    counts = np.array([(labels == value).sum() for value in classes])
    return np.log(counts / counts.sum())


def _pooled(maps: Tensor) -> Tensor:
    size = (min(GRID, maps.shape[2]), min(GRID, maps.shape[3]))
    return functional.adaptive_avg_pool2d(maps, size).flatten(1).float().cpu()
