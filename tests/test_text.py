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


def test_a_loss_below_zero_is_a_gain() -> None:
    assert text.loss(0.21, 0.1, 0.3) == "lost 0.21"
    assert text.loss(-0.19, -0.3, -0.1) == "gained 0.19"
    assert text.loss(0.21, -0.1, 0.5) == "none"
    assert text.loss(None, None, None) == "-"


def test_a_change_has_half_the_width_of_its_interval() -> None:
    assert text.change(-4.1, -4.8, -3.2) == "-4.1 ± 0.8"
    assert text.change(-1.0, -3.2, -0.2) == "-1.0 (-3.2 to -0.2)"
    assert text.with_interval(0.08, 0.01, 0.21, ".2f") == "0.08 (0.01 to 0.21)"
    assert text.change(0.4, -0.2, 1.0) == "none"
    assert text.change(None, None, None) == "-"


def test_shares_sizes_and_names_are_formatted() -> None:
    assert text.percent(0.9786) == "97.9%"
    assert text.percent(None) == "-"
    assert text.size(60_800) == "60.8 kB"
    assert text.size(788) == "788 B"
    assert text.size(None) == "-"
    assert text.names(["stem", "stage1"]) == "stem, stage1"
    assert text.names([]) == text.names(None) == "none"


def test_durations_have_the_largest_unit_that_fits() -> None:
    times = {0.41: "0.41 s", 90: "90 s", 150: "2.5 minutes", 1500: "25 minutes"}
    times |= {7200: "2.0 hours", 3 * 86400: "3.0 days", 40 * 86400: "40 days"}
    assert {seconds: text.duration(seconds) for seconds in times} == times


def test_intervals_and_fractions_as_words() -> None:
    assert text.interval(0.951, 0.9876) == "95.1 to 98.8%"
    assert text.interval(None, 0.5) == text.interval(None, None) == ""
    words = {0.335: "a third of", 0.49: "half of", 0.44: "44% of", 0.97: "97% of"}
    assert {ratio: text.fraction(ratio) for ratio in words} == words


def test_one_thing_has_no_plural() -> None:
    found = [text.counted(number, "epoch") for number in (0, 1, 2, 1200)]
    assert found == ["0 epochs", "1 epoch", "2 epochs", "1,200 epochs"]
