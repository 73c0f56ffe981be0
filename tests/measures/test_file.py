"""Tables of analyses that would fill the memory, or are none."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ir2search.measures.file import read_measures
from ir2search.measures.names import COLUMNS

TEXTS = ("network", "layer", "method", "surrogate", "measure", "unit")


def table(rows: int, **changed: Any) -> pa.Table:
    columns: dict[str, Any] = {
        name: pa.array(["x"] * rows if name in TEXTS else [0.5] * rows) for name in COLUMNS[:-2]
    }
    return pa.table(columns | changed)


def repeated(text: str, rows: int) -> pa.DictionaryArray:
    return pa.DictionaryArray.from_arrays(pa.array([0] * rows, pa.int32()), pa.array([text]))


def test_a_table_is_read_as_it_was_written(tmp_path: Path) -> None:
    written = pd.DataFrame({name: ["a", "b"] if name in TEXTS else [1.5, None] for name in COLUMNS})
    written["array"] = written["shape"] = [[1.0], None]
    written.to_parquet(tmp_path / "a.parquet")
    found = read_measures(tmp_path / "a.parquet")
    pd.testing.assert_frame_equal(found, written[[*COLUMNS[:-2]]])


def test_a_text_that_is_stored_once_may_repeat(tmp_path: Path) -> None:
    pq.write_table(table(1000, unit=repeated("bits", 1000)), tmp_path / "a.parquet")
    assert list(read_measures(tmp_path / "a.parquet")["unit"]) == ["bits"] * 1000


@pytest.mark.parametrize(
    ("made", "complaint"),
    [
        (table(1_000_001), "has 1,000,001 rows, but may have 1,000,000"),
        (table(1000, unit=repeated("x" * 1_000_000, 1000)), "bytes in memory, but may take"),
    ],
)
def test_a_table_that_is_too_large_is_refused(
    tmp_path: Path, made: pa.Table, complaint: str
) -> None:
    pq.write_table(made, tmp_path / "a.parquet", compression="zstd")
    assert (tmp_path / "a.parquet").stat().st_size < 1_000_000
    with pytest.raises(ValueError, match=complaint):
        read_measures(tmp_path / "a.parquet")


@pytest.mark.parametrize("column", ["unit", "value", "array"])
def test_a_column_of_another_type_is_refused(tmp_path: Path, column: str) -> None:
    """A missing value of a fixed size takes that size in memory, and nothing in the file."""
    made = table(10, **{column: pa.nulls(10, pa.binary(1 << 20))})
    pq.write_table(made, tmp_path / "a.parquet")
    with pytest.raises(ValueError, match=f"its column {column} holds another type"):
        read_measures(tmp_path / "a.parquet", pictures=True)


def test_pictures_are_read_as_they_were_written(tmp_path: Path) -> None:
    written = pd.DataFrame({name: ["a", None] if name in TEXTS else [1.5, 2] for name in COLUMNS})
    written["array"], written["shape"] = [[0.5, 1.5], None], [[2], None]
    written.to_parquet(tmp_path / "a.parquet")
    found = read_measures(tmp_path / "a.parquet", pictures=True)
    pd.testing.assert_frame_equal(found, pd.read_parquet(tmp_path / "a.parquet"))


@pytest.mark.parametrize("content", [b"", b"PAR1" * 10, b"<html>"])
def test_a_damaged_table_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.parquet").write_bytes(content)
    with pytest.raises(ValueError, match=r"Parquet|footer"):
        read_measures(tmp_path / "a.parquet")
