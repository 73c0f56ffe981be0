from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ir2search.nn import attention_map, restrict


def attention(features: np.ndarray, normalization: str) -> np.ndarray:
    """The paper's attention map, one sample at a time."""
    energy = (features**2).mean(axis=1)
    for sample in energy:
        if normalization == "map":
            sample /= np.sqrt((sample**2).sum())
        else:
            for column in range(sample.shape[1]):
                sample[:, column] /= np.sqrt((sample[:, column] ** 2).sum())
    return energy


def upsampled(small: np.ndarray, height: int, width: int) -> np.ndarray:
    """Bilinear upsampling with aligned corners, one pixel at a time."""
    h, w = small.shape
    result = np.empty((height, width))
    for row in range(height):
        for column in range(width):
            y = row * (h - 1) / (height - 1) if height > 1 else 0.0
            x = column * (w - 1) / (width - 1) if width > 1 else 0.0
            top, left = min(int(y), h - 1), min(int(x), w - 1)
            bottom, right = min(top + 1, h - 1), min(left + 1, w - 1)
            above = small[top, left] * (1 - (x - left)) + small[top, right] * (x - left)
            below = small[bottom, left] * (1 - (x - left)) + small[bottom, right] * (x - left)
            result[row, column] = above * (1 - (y - top)) + below * (y - top)
    return result


def restricted(
    images: np.ndarray, features: np.ndarray, threshold: float, normalization: str
) -> np.ndarray:
    result = images.copy()
    for sample, small in zip(result, attention(features, normalization), strict=True):
        large = upsampled(small, *images.shape[2:])
        sample[:, large <= threshold * large.mean()] = 0
    return result


def case(seed: int, shape: tuple[int, int] = (9, 7)) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    images = torch.randn(3, 2, *shape, generator=generator, dtype=torch.float64)
    features = torch.randn(3, 5, 4, 3, generator=generator, dtype=torch.float64)
    return images, features


@pytest.mark.parametrize("normalization", ["map", "column"])
@pytest.mark.parametrize("threshold", [0.15, 0.6, 1.0, 1.7])
@pytest.mark.parametrize("shape", [(9, 7), (32, 32), (1, 5), (4, 3)])
def test_restriction_equals_the_papers_pixel_by_pixel(
    threshold: float, normalization: Any, shape: tuple[int, int]
) -> None:
    images, features = case(0, shape)
    found = restrict(images, features, threshold, normalization)
    expected = restricted(images.numpy(), features.numpy(), threshold, normalization)
    np.testing.assert_allclose(found.numpy(), expected, atol=1e-12)


@pytest.mark.parametrize("normalization", ["map", "column"])
def test_attention_equals_the_papers(normalization: Any) -> None:
    _, features = case(1)
    np.testing.assert_allclose(
        attention_map(features, normalization).numpy(),
        attention(features.numpy(), normalization),
        rtol=1e-12,
    )


def test_both_normalizations_of_a_map_by_hand() -> None:
    features = torch.tensor([[[[3.0, 0.0], [4.0, 1.0]]]]).sqrt()
    by_map = torch.tensor([[3.0, 0.0], [4.0, 1.0]]) / 26**0.5
    by_column = torch.tensor([[0.6, 0.0], [0.8, 1.0]])
    torch.testing.assert_close(attention_map(features)[0], by_map)
    torch.testing.assert_close(attention_map(features, "column")[0], by_column)


@settings(max_examples=25)
@given(st.integers(0, 1000), st.floats(0, 2), st.floats(0, 2))
def test_a_higher_threshold_keeps_a_subset_of_the_pixels(
    seed: int, one: float, other: float
) -> None:
    images, features = case(seed)
    low, high = sorted((one, other))
    less, more = (restrict(images, features, t) != 0 for t in (high, low))
    assert (less <= more).all()


@settings(max_examples=25)
@given(st.integers(0, 1000), st.floats(1e-3, 1e3), st.floats(0, 2))
def test_the_scale_of_the_features_has_no_effect(seed: int, scale: float, threshold: float) -> None:
    images, features = case(seed)
    scaled = restrict(images, features * scale, threshold)
    agreeing = (scaled == restrict(images, features, threshold)).double().mean()
    assert agreeing > 0.98  # a pixel at the threshold itself may fall to either side


def test_a_threshold_of_zero_keeps_every_pixel_with_attention() -> None:
    images, features = case(2)
    assert torch.equal(restrict(images, features, 0.0), images)
    features[0] = 0
    assert (restrict(images, features, 0.0)[0] == 0).all()
    assert torch.equal(restrict(images, features, 0.0)[1:], images[1:])


def test_constant_features_keep_all_pixels_below_threshold_one_and_none_above() -> None:
    images, features = torch.ones(1, 1, 6, 6), torch.ones(1, 3, 2, 2)
    assert (restrict(images, features, 0.9) == 1).all()
    assert (restrict(images, features, 1.1) == 0).all()


def test_the_result_is_a_new_tensor_without_gradient() -> None:
    images, features = case(3)
    kept = images.clone()
    found = restrict(images.requires_grad_(), features.requires_grad_(), 1.0)
    assert not found.requires_grad
    found.zero_()
    assert torch.equal(images, kept)


@pytest.mark.parametrize(
    ("change", "name"),
    [
        ({"threshold": -0.1}, "`threshold`"),
        ({"threshold": float("nan")}, "`threshold`"),
        ({"threshold": float("inf")}, "`threshold`"),
        ({"images": torch.zeros(2, 3, 4)}, "`images`"),
        ({"features": torch.zeros(2, 3, 4, 4)}, "`features`"),
        ({"normalization": "row"}, "`normalization`"),
    ],
)
def test_a_wrong_argument_is_named(change: dict[str, Any], name: str) -> None:
    images, features = case(4)
    arguments = {"images": images, "features": features, "threshold": 0.5, **change}
    with pytest.raises(ValueError, match=name):
        restrict(**arguments)
