from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ir2search.intervals import share_interval


@given(st.integers(1, 5000), st.floats(0, 1))
def test_the_interval_is_where_the_score_test_accepts_the_share(count: int, share: float) -> None:
    """Wilson's ends p solve |k / n - p| = z sqrt(p (1 - p) / n)."""
    right = round(share * count)
    for end in share_interval(right / count, count):
        deviation = math.sqrt(max(end * (1 - end), 0) / count)
        assert abs(right / count - end) == pytest.approx(1.959964 * deviation, abs=1e-6)


def test_a_textbook_example() -> None:
    """Newcombe, Statistics in Medicine 1998, table I, method 3: 81 of 263."""
    assert share_interval(81 / 263, 263) == (
        pytest.approx(0.2553, abs=1e-4),
        pytest.approx(0.3662, abs=1e-4),
    )
