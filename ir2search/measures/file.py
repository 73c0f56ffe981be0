"""Read the table of an analysis from a file that can come from somebody else."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ir2search.files import read_bytes
from ir2search.measures.names import COLUMNS
from ir2search.parquet import largest_page

if TYPE_CHECKING:
    import pandas as pd

MOST_ROWS = 1_000_000
LARGEST_TABLE = 256_000_000  # bytes in memory
BATCH = 65_536  # rows
ARRAYS = ("array", "shape")  # the columns of the pictures


def read_measures(file: Path, *, pictures: bool = False) -> pd.DataFrame:
    """Read ``information.parquet``, with its pictures if they are asked for.

    A value that repeats is stored once, so a small file can hold a table that fills the memory. The
    table is read in parts, and texts are counted before they are repeated.

    Raises:
        OSError: the file is missing, too large or not a regular file.
        ValueError: it is not the table of an analysis, or the table is too large.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    content = io.BytesIO(read_bytes(file))
    try:
        rows = max(1, min(BATCH, LARGEST_TABLE // largest_page(content)))
        schema = pq.read_schema(content)
        names = [
            name for name in COLUMNS if name in schema.names and (pictures or name not in ARRAYS)
        ]
        for name in names:
            _check_type(name, schema.field(name).type)
        texts = [name for name in names if _is_text(schema.field(name).type)]
        reader = pq.ParquetFile(content, read_dictionary=texts, pre_buffer=False)
        _check_rows(reader.metadata.num_rows)
        batches = []
        for batch in reader.iter_batches(rows, columns=names):
            batches.append(batch)
            _check_rows(sum(map(len, batches)))
            _check_size(sum(map(_size, batches)))
    except (pa.ArrowException, OSError, UnicodeDecodeError, MemoryError) as error:
        raise ValueError((str(error).splitlines() or ["it is damaged"])[0]) from None
    table = pa.Table.from_batches(batches, reader.schema_arrow.empty_table().select(names).schema)
    plain = [pa.string() if name in texts else table.schema.field(name).type for name in names]
    table = table.cast(pa.schema(list(zip(names, plain, strict=True))))
    return table.to_pandas(ignore_metadata=True)


def _is_text(kind: Any) -> bool:
    import pyarrow as pa

    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def _check_type(name: str, kind: Any) -> None:
    """Refuse values that can be large and small in the file, such as those of a fixed size."""
    import pyarrow as pa

    element = kind.value_type if name in ARRAYS and _is_list(kind) else kind
    if not (_is_text(kind) or pa.types.is_primitive(element) or pa.types.is_null(element)):
        raise ValueError(f"its column {name} holds another type than numbers and texts")


def _is_list(kind: Any) -> bool:
    import pyarrow as pa

    return bool(pa.types.is_list(kind) or pa.types.is_large_list(kind))


def _size(batch: Any) -> int:
    """An upper bound for the bytes of a batch in which each repeated text has its own copy."""
    import pyarrow as pa
    import pyarrow.compute as pc

    total = batch.nbytes
    for column in batch.columns:
        if pa.types.is_dictionary(column.type) and len(column.dictionary):
            longest = pc.max(pc.binary_length(column.dictionary)).as_py() or 0
            total += len(column) * longest
    return int(total)


def _check_rows(count: int) -> None:
    if count > MOST_ROWS:
        raise ValueError(f"it has {count:,} rows, but may have {MOST_ROWS:,}")


def _check_size(size: int) -> None:
    if size > LARGEST_TABLE:
        raise ValueError(f"it takes {size:,} bytes in memory, but may take {LARGEST_TABLE:,}")
