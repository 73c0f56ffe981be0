from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ir2search import text

PREFIXES = {"": 1.0, "k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12}


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (0, "0"), (7, "7"), (999, "999"), (999.6, "1 k"), (1000, "1 k"), (1284, "1.28 k"),
        (9994, "9.99 k"), (9996, "10 k"), (99_960, "100 k"), (1_228_416, "1.23 M"),
        (40_108_032, "40.1 M"), (163_483_648, "163 M"), (1_676_279_808, "1.68 G"), (None, "-"),
    ],
)  # fmt: skip
def test_counts_have_three_digits_and_a_prefix(value: float | None, shown: str) -> None:
    assert text.count(value) == shown


@given(st.floats(1, 9e14))
def test_a_count_is_accurate_to_half_a_percent(value: float) -> None:
    number, _, prefix = text.count(value).partition(" ")
    assert float(number) * PREFIXES[prefix] == pytest.approx(value, rel=0.0051)
    assert len(number.replace(".", "")) <= 3 or float(number) >= 1000


def test_shares_sizes_and_names_are_formatted() -> None:
    assert text.percent(0.9786) == "97.9%"
    assert text.percent(None) == "-"
    assert text.size(60_800) == "60.8 kB"
    assert text.size(788) == "788 B"
    assert text.size(None) == "-"
    assert text.names(["stem", "stage1"]) == "stem, stage1"
    assert text.names([]) == text.names(None) == "none"
