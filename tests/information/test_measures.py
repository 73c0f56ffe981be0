from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from scipy import stats
from torch import Tensor

from ir2search.information.measures import (
    completeness_gap,
    cosine,
    distribution,
    entropy_bits,
    kept_share,
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
def test_entropy_is_scipys(values: np.ndarray) -> None:
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
    assert entropy_bits(nothing).item() == pytest.approx(2), "nowhere more than elsewhere"
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
def test_a_map_of_another_size_is_compared_place_by_place(size: int) -> None:
    coarse = tensor([[1.0, 2.0], [3.0, 4.0]])
    fine = coarse.repeat_interleave(size, 1).repeat_interleave(size, 2)
    assert kept_share(fine, coarse).item() == pytest.approx(1)
    assert kept_share(coarse, fine).item() == pytest.approx(1)


def test_cosine_by_hand() -> None:
    a = tensor([[1.0, 0.0], [0.0, 0.0]])
    assert cosine(a, 5 * a).item() == pytest.approx(1)
    assert cosine(a, tensor([[0.0, 1.0], [0.0, 0.0]])).item() == 0
    assert cosine(a, tensor([[1.0, 1.0], [0.0, 0.0]])).item() == pytest.approx(0.5**0.5)


def test_the_completeness_gap_is_relative_to_the_change() -> None:
    change = torch.tensor([1.0, -3.0])
    assert completeness_gap(change, change) == 0
    assert completeness_gap(torch.tensor([2.0, -3.0]), change) == pytest.approx(0.25)
    assert completeness_gap(torch.zeros(2), change) == pytest.approx(1)
