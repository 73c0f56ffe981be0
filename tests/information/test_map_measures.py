from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from scipy import stats
from skimage.metrics import structural_similarity
from torch import Tensor

from ir2search.information.map_measures import (
    cosine,
    distribution,
    effective_support,
    entropy_bits,
    gram,
    kept_share,
    linear_cka,
    spearman,
    ssim,
)


def tensor(*rows: list[list[float]]) -> Tensor:
    return torch.tensor(rows, dtype=torch.float64)


maps = arrays.arrays(np.float64, (3, 4, 4), elements=st.floats(0, 1e3))


@given(maps)
def test_a_distribution_sums_to_one(values: np.ndarray) -> None:
    p = distribution(torch.from_numpy(values))
    assert p.min() >= 0
    torch.testing.assert_close(p.sum(dim=(1, 2)), torch.ones(3, dtype=torch.float64))


@given(maps)
def test_entropy_equals_scipys(values: np.ndarray) -> None:
    ours = entropy_bits(torch.from_numpy(values)).numpy()
    p = distribution(torch.from_numpy(values)).flatten(1).numpy()
    np.testing.assert_allclose(ours, stats.entropy(p, base=2, axis=1), atol=1e-9)


def test_entropy_by_hand() -> None:
    one_place = tensor([[7.0, 0.0], [0.0, 0.0]])
    two_places = tensor([[1.0, 1.0], [0.0, 0.0]])
    nothing = tensor([[0.0, 0.0], [0.0, 0.0]])
    everywhere = torch.ones(1, 8, 8)
    assert entropy_bits(one_place).item() == 0
    assert entropy_bits(two_places).item() == pytest.approx(1)
    assert entropy_bits(nothing).item() == pytest.approx(2), "a map of zeros counts as uniform"
    assert entropy_bits(everywhere).item() == pytest.approx(6)


def test_kept_share_by_hand() -> None:
    before = tensor([[0.5, 0.5], [0.0, 0.0]])
    assert kept_share(before, 3 * before).item() == pytest.approx(1)
    assert kept_share(before, tensor([[0.0, 0.0], [1.0, 1.0]])).item() == 0
    assert kept_share(before, tensor([[3.0, 0.0], [1.0, 0.0]])).item() == pytest.approx(0.5)
    assert kept_share(before, tensor([[1.0, 1.0], [1.0, 1.0]])).item() == pytest.approx(0.5)


@given(maps, maps)
def test_kept_share_is_symmetric_and_a_share(one: np.ndarray, other: np.ndarray) -> None:
    a, b = torch.from_numpy(one), torch.from_numpy(other)
    share = kept_share(a, b)
    torch.testing.assert_close(share, kept_share(b, a))
    assert ((share >= 0) & (share <= 1 + 1e-12)).all()
    total_variation = 0.5 * (distribution(a) - distribution(b)).abs().sum(dim=(1, 2))
    torch.testing.assert_close(share, 1 - total_variation)


@pytest.mark.parametrize("size", [2, 3, 7])
def test_maps_of_two_sizes_are_compared_position_by_position(size: int) -> None:
    coarse = tensor([[1.0, 2.0], [3.0, 4.0]])
    fine = coarse.repeat_interleave(size, 1).repeat_interleave(size, 2)
    assert kept_share(fine, coarse).item() == pytest.approx(1)
    assert kept_share(coarse, fine).item() == pytest.approx(1)


def test_cosine_by_hand() -> None:
    a = tensor([[1.0, 0.0], [0.0, 0.0]])
    assert cosine(a, 5 * a).item() == pytest.approx(1)
    assert cosine(a, tensor([[0.0, 1.0], [0.0, 0.0]])).item() == 0
    assert cosine(a, tensor([[1.0, 1.0], [0.0, 0.0]])).item() == pytest.approx(0.5**0.5)


def test_effective_support_by_hand() -> None:
    assert effective_support(tensor([[8.0, 0.0], [0.0, 0.0]])).item() == 0.25
    assert effective_support(tensor([[0.5, 0.4], [0.1, 0.0]])).item() == 0.5
    assert effective_support(torch.ones(1, 10, 10)).item() == pytest.approx(0.9)
    assert effective_support(torch.zeros(1, 10, 10)).item() == pytest.approx(0.9), (
        "a map of zeros counts as uniform"
    )


@given(arrays.arrays(np.float64, (2, 3, 5, 5), elements=st.floats(0, 1e3)))
def test_spearman_equals_scipys(values: np.ndarray) -> None:
    found = spearman(*torch.from_numpy(values))
    for one, other, ours in zip(*values, found.tolist(), strict=True):
        if len(set(one.flat)) > 1 and len(set(other.flat)) > 1:
            theirs = stats.spearmanr(one.flatten(), other.flatten()).statistic
            assert ours == pytest.approx(theirs, abs=1e-9)
        else:
            assert np.isnan(ours)


@pytest.mark.parametrize("sides", [(8, 8), (7, 12), (6, 6), (3, 5), (2, 2), (1, 1), (32, 32)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_structural_similarity_equals_scikit_images(
    sides: tuple[int, int], dtype: torch.dtype
) -> None:
    generator = torch.Generator().manual_seed(0)
    one, other = torch.rand(2, 5, *sides, generator=generator, dtype=dtype)
    window = min(7, *sides)
    window -= 1 - window % 2
    scaled = [(maps / maps.amax((1, 2), keepdim=True)).double().numpy() for maps in (one, other)]
    expected = [
        structural_similarity(a, b, data_range=1.0, win_size=window, use_sample_covariance=False)
        for a, b in zip(*scaled, strict=True)
    ]
    np.testing.assert_allclose(ssim(one, other).numpy(), expected, rtol=0, atol=1e-9)


def test_structural_similarity_by_hand() -> None:
    torch.manual_seed(0)
    maps = torch.rand(3, 8, 8)
    torch.testing.assert_close(ssim(maps, 7 * maps), torch.ones(3, dtype=torch.float64))
    assert (ssim(maps, 1 - maps) < 0).all()
    assert ssim(torch.rand(2, 2, 2), torch.rand(2, 2, 2)).shape == (2,), "maps of two pixels"


def test_cka_by_hand_and_by_the_covariance_of_features() -> None:
    torch.manual_seed(0)
    x, y = torch.randn(20, 3), torch.randn(20, 5)
    rotated = x @ torch.linalg.qr(torch.randn(3, 3)).Q
    assert linear_cka(gram(x), gram(4 * rotated + 1)) == pytest.approx(1)
    assert linear_cka(gram(x), gram(torch.ones(20, 2))) == 0
    a, b = (v - v.mean(dim=0) for v in (x.double(), y.double()))
    cross, own, other = ((u.T @ v).norm() for u, v in ((b, a), (a, a), (b, b)))
    expected = cross**2 / (own * other)  # Kornblith et al., section 4
    assert linear_cka(gram(x), gram(y)) == pytest.approx(expected.item())
