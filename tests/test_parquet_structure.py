"""The structure of a parquet file is checked before pyarrow decodes it."""

from __future__ import annotations

import io
import struct
from contextlib import suppress
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from damage import damaged_bytes
from hypothesis import given

from ir2search import parquet
from ir2search.parquet import largest_page

CELLS = [bytes([n]) * 1000 for n in range(60)]
TABLE = pa.table({"img": [{"bytes": cell, "path": None} for cell in CELLS], "label": range(60)})


def written(**options: Any) -> bytes:
    stream = io.BytesIO()
    pq.write_table(TABLE, stream, **options)
    return stream.getvalue()


def with_footer(footer: bytes) -> bytes:
    return b"PAR1" + footer + struct.pack("<I", len(footer)) + b"PAR1"


@pytest.mark.parametrize(
    "options",
    [
        {}, {"compression": "none"}, {"use_dictionary": False}, {"data_page_version": "2.0"},
        {"write_page_index": True}, {"write_page_checksum": True}, {"version": "1.0"},
    ],
)  # fmt: skip
def test_the_largest_page_of_a_table_has_all_its_images(options: dict[str, Any]) -> None:
    size = largest_page(io.BytesIO(written(**options)))
    assert sum(map(len, CELLS)) < size < sum(map(len, CELLS)) + 1000


def test_the_largest_page_is_of_any_group_of_rows() -> None:
    size = largest_page(io.BytesIO(written(row_group_size=7)))
    assert 7 * 1000 < size < 8 * 1000


@given(content=damaged_bytes(written(row_group_size=20)))
def test_any_bytes_are_read_or_refused(content: bytes) -> None:
    with suppress(ValueError):
        assert largest_page(io.BytesIO(content)) > 0


@pytest.mark.parametrize(
    ("footer", "complaint"),
    [
        (b"", "its footer is cut"),
        (b"\0", "missing or has another type"),
        (b"\x16\x02\x06\x02\x02\0", "is there twice"),
        (b"\x29\xf8\xff\xff\xff\xff\x7f", "a list of its structure has another type"),
        (b"\x49\xfc\xff\xff\xff\xff\x7f", r"missing|cut"),
        (b"\x1c" * 50, "levels of its structure"),
        (b"\x16" + b"\xff" * 20, "bits of a number"),
        (b"\x15\xff\xff\xff\xff\x7f\0", "a number of its structure is too large"),
        (b"\x1b\x01", "an unknown type"),
    ],
)
def test_a_damaged_footer_is_refused(footer: bytes, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        largest_page(io.BytesIO(with_footer(footer)))


def test_a_structure_that_is_too_large_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    content = written(row_group_size=1)
    monkeypatch.setattr(parquet, "MOST_FIELDS", 1000)
    with pytest.raises(ValueError, match="at most 1,000 are possible"):
        largest_page(io.BytesIO(content))
    monkeypatch.setattr(parquet, "LARGEST_FOOTER", 1000)
    with pytest.raises(ValueError, match="bytes of the footer"):
        largest_page(io.BytesIO(content))
