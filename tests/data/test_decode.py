from __future__ import annotations

import pytest

from ir2search.data.decode import check_memory, checked_labels, decode
from ir2search.errors import DataError


def test_labels_must_be_whole_numbers_of_classes() -> None:
    assert checked_labels([0, 2, 1], 3, "a") == [0, 2, 1]
    assert checked_labels([1, 3, 2], 3, "a", first=1) == [0, 2, 1]
    for labels in ([0, 3], [0, -1], [0, None]):
        with pytest.raises(DataError, match="a: row 1: the label must be from 0 to 2"):
            checked_labels(labels, 3, "a")


def test_data_larger_than_the_memory_is_refused() -> None:
    check_memory(1000, "small")
    with pytest.raises(DataError, match=r"large: 1000000000 GB do not fit .* set `stream = true`"):
        check_memory(10**18, "large")


def test_a_damaged_image_is_named() -> None:
    with pytest.raises(DataError, match="image 0: cannot be decoded as an image"):
        decode([("image 0", b"damaged")], 1, None)
