from __future__ import annotations

import math

import numpy as np
import pytest

from ir2search.information.probes import SEEDS, Probe, probe


def draw(images: int, classes: int, separation: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Images of classes with equal probability, each a Gaussian around its own axis."""
    generator = np.random.default_rng(seed)
    labels = generator.integers(0, classes, images)
    features = generator.normal(size=(images, classes)) + separation * np.eye(classes)[labels]
    return features, labels


def read(separation: float, classes: int = 4) -> Probe:
    fitting, held_out = (draw(1500, classes, separation, seed) for seed in (1, 2))
    (found,) = probe({"x": fitting[0]}, fitting[1], {"x": held_out[0]}, held_out[1], seed=0)
    return found


def test_features_that_determine_the_class_have_all_bits_of_it() -> None:
    found = read(separation=40)
    assert found.bits.shape == (SEEDS, 1500)
    assert found.bits.mean() == pytest.approx(math.log2(4), abs=0.03)


def test_features_of_noise_have_no_bits() -> None:
    assert read(separation=0).bits.mean() == pytest.approx(0, abs=0.03)


def test_usable_information_of_two_gaussians_is_their_mutual_information() -> None:
    """The best linear classifier is exact: log p(y|x) by Bayes' theorem."""
    separation = 1.5
    features, labels = draw(200_000, 2, separation, 9)
    scores = separation * features
    exact = scores - np.logaddexp.reduce(scores, axis=1, keepdims=True)
    expected = 1 + exact[np.arange(len(labels)), labels].mean() / math.log(2)
    assert read(separation, classes=2).bits.mean() == pytest.approx(expected, abs=0.06)


def test_probes_are_reproducible_and_differ_by_layer_and_seed() -> None:
    features, labels = draw(300, 3, 2, 1)
    layers = {"one": features, "two": features[:, :2]}
    told: list[str] = []
    first = probe(layers, labels, layers, labels, 7, told.append)
    again = probe(layers, labels, layers, labels, 7)
    assert told == [found.layer for found in first] == ["one", "two"]
    for one, other in zip(first, again, strict=True):
        np.testing.assert_array_equal(one.bits, other.bits)
    assert first[0].bits.mean() > first[1].bits.mean()
    assert len({tuple(row) for row in first[0].bits}) == SEEDS, "each seed fits other images"


def test_an_image_of_an_unseen_class_has_no_value() -> None:
    features, labels = draw(300, 2, 3, 1)
    held_out = {"x": np.vstack([features, [[0.0, 0.0]]])}
    (found,) = probe({"x": features}, labels, held_out, np.append(labels, 5), 0)
    assert np.isnan(found.bits[:, -1]).all()
    assert not np.isnan(found.bits[:, :-1]).any()


def test_a_confident_wrong_probe_has_finite_negative_bits() -> None:
    features, labels = draw(300, 3, 40, 1)
    far = {"x": np.float32(1000 * np.eye(3)[(labels + 1) % 3])}
    (found,) = probe({"x": features.astype(np.float32)}, labels, far, labels, seed=0)
    assert np.isfinite(found.bits).all()
    assert found.bits.mean() < -100


def test_a_class_with_one_image_is_in_each_draw() -> None:
    features, labels = draw(300, 2, 3.0, 1)
    features, labels = np.vstack([features, [9.0, 9.0]]), np.append(labels, 2)
    for seed in range(10):
        (found,) = probe({"x": features}, labels, {"x": features}, labels, seed=seed)
        assert np.isfinite(found.bits).all()
        assert found.bits[:, -1].mean() > 1, "it is far from the others"


def test_images_of_one_class_have_no_bits() -> None:
    features, labels = draw(30, 2, 3.0, 1)
    (found,) = probe({"x": features}, 0 * labels, {"x": features}, labels, seed=0)
    assert np.isnan(found.bits).all()
