"""Read images from parquet files, as on the Hugging Face hub.

A table has a column ``img`` or ``image`` of encoded bytes (or of structs with a field ``bytes``)
and a column ``label``. The hub's metadata can have the names of the classes.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ir2search.data.decode import checked_labels, decode
from ir2search.data.encoded import write_index
from ir2search.data.sources import LabelledImages
from ir2search.errors import DataError

ROWS = 256  # in each batch that is read

Splits = dict[str, list[Path]]


def read_parquet(splits: Splits, size: int | None) -> LabelledImages:
    """Read all images of the tables of each split.

    Args:
        splits: the tables of ``"train"`` and ``"test"``.
        size: side in pixels to which images are resized; None keeps their size.

    Raises:
        DataError: a table is corrupt or empty, or lacks a column.
    """
    labels, class_names = _labels(splits)
    tensors = {}
    for split, files in splits.items():
        encoded, names = [], []
        for file in files:
            for name, image in _rows(file):
                encoded.append(image)
                names.append(name)
        tensors[f"{split}_images"] = decode(
            len(encoded), encoded.__getitem__, names.__getitem__, size
        )
        tensors[f"{split}_labels"] = labels[split]
    return LabelledImages(**tensors, class_names=tuple(class_names))


def index_parquet(splits: Splits, targets: dict[str, Path]) -> None:
    """Copy the encoded images of each split to its file in ``targets``, see `EncodedImages`.

    Raises:
        DataError: a table is corrupt or empty, or lacks a column.
    """
    labels, class_names = _labels(splits)
    for split, files in splits.items():
        rows = (row for file in files for row in _rows(file))
        write_index(targets[split], rows, labels[split].tolist(), class_names)


def _labels(splits: Splits) -> tuple[dict[str, Any], list[str]]:
    """Labels by split, and names of the classes."""
    tables = {split: [_open(file) for file in files] for split, files in splits.items()}
    found = {
        split: [label for table in opened for label in table.labels()]
        for split, opened in tables.items()
    }
    for split, labels in found.items():
        if not labels:
            raise DataError(f"{splits[split][0]}: the table has no rows; add images")
    named = [table.class_names for opened in tables.values() for table in opened]
    class_names = next((names for names in named if names), None)
    if class_names is None:
        highest = max((label for label in found["train"] if label is not None), default=0)
        # at most as many classes as images, so that a wrong label is found to be out of range
        class_names = [str(label) for label in range(min(highest + 1, len(found["train"])))]
    checked = {
        split: checked_labels(labels, len(class_names), str(splits[split][0]))
        for split, labels in found.items()
    }
    return checked, class_names


def _rows(file: Path) -> Iterator[tuple[str, bytes]]:
    """Name and encoded bytes of each image of a table."""
    for row, image in enumerate(_open(file).images()):
        yield f"{file}: row {row}", image


@dataclass(frozen=True)
class _Table:
    file: Path
    reader: Any
    image_column: str
    label_column: str
    class_names: list[str] | None

    def labels(self) -> list[int | None]:
        with _readable(self.file):
            column = self.reader.read(columns=[self.label_column])[self.label_column]
        return list(column.to_pylist())

    def images(self) -> Iterator[bytes]:
        import pyarrow as pa

        with _readable(self.file):
            for batch in self.reader.iter_batches(ROWS, columns=[self.image_column]):
                column = batch.column(0)
                if pa.types.is_struct(column.type):
                    column = column.field("bytes")
                for image in column:
                    yield image.as_py() or b""


def _open(file: Path) -> _Table:
    import pyarrow as pa
    import pyarrow.parquet as pq

    with _readable(file):
        reader = pq.ParquetFile(file)
    schema = reader.schema_arrow
    images = next((name for name in ("img", "image") if name in schema.names), None)
    labels = next((name for name in ("label", "labels") if name in schema.names), None)
    if images is None or labels is None:
        raise DataError(
            f"{file}: needs a column `img` or `image` and a column `label`, "
            f"but has {', '.join(schema.names)}"
        )
    if not pa.types.is_integer(schema.field(labels).type):
        raise DataError(f"{file}: column `{labels}` must hold whole numbers")
    kind = schema.field(images).type
    if pa.types.is_struct(kind) and kind.get_field_index("bytes") >= 0:
        kind = kind.field("bytes").type
    if not (pa.types.is_binary(kind) or pa.types.is_large_binary(kind)):
        raise DataError(f"{file}: column `{images}` must hold encoded images (bytes)")
    return _Table(file, reader, images, labels, _class_names(schema, labels))


@contextmanager
def _readable(file: Path) -> Iterator[None]:
    import pyarrow as pa

    try:
        yield
    except (pa.ArrowException, OSError) as error:
        reason = str(error).splitlines()[0]
        raise DataError(f"{file}: cannot be read as a parquet file ({reason})") from None


def _class_names(schema: Any, column: str) -> list[str] | None:
    """Names of the classes from the hub's metadata; None if it has none."""
    try:
        features = json.loads(schema.metadata[b"huggingface"])["info"]["features"]
        return [str(name) for name in features[column]["names"]]
    except (TypeError, KeyError, ValueError):
        return None
