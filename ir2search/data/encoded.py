"""Random access to encoded images on disk, without reading them into memory."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ir2search.data.pixels import read_file
from ir2search.files import replacing

ROWS = 256  # images in a batch
BATCH_BYTES = 64_000_000  # a batch ends with the image that exceeds this size

Row = tuple[str, bytes | None]  # an image's name and bytes; None if the name is a path


@dataclass(frozen=True)
class EncodedImages:
    """The index of a split, an Arrow file that is mapped into memory.

    Attributes:
        file: has the columns ``name`` (name or path of the image), ``label``, and, for images that
            are not files of their own, ``image`` (its encoded bytes).
    """

    file: Path

    def __len__(self) -> int:
        return len(self._table)

    def read(self, index: int) -> bytes:
        """The encoded bytes of one image."""
        if "image" in self._table.column_names:
            return self._table["image"][index].as_buffer()
        return read_file(Path(self.name(index)))

    def name(self, index: int) -> str:
        """The name or path of one image."""
        return str(self._table["name"][index])

    @property
    def labels(self) -> Tensor:
        """Labels of all images, (N,) int64."""
        return torch.from_numpy(self._table["label"].to_numpy().astype(np.int64))

    @property
    def class_names(self) -> tuple[str, ...]:
        """Names of the classes, in the order of the labels."""
        return tuple(json.loads(self._table.schema.metadata[b"class_names"]))

    @cached_property
    def _table(self) -> Any:
        import pyarrow as pa

        return pa.ipc.open_file(pa.memory_map(str(self.file))).read_all()

    def __reduce__(self) -> Any:
        # each worker process maps the file itself
        return EncodedImages, (self.file,)


def batches(rows: Iterable[Row]) -> Iterator[list[Row]]:
    """Split images into lists of a limited number and size."""
    batch: list[Row] = []
    size = 0
    for row in rows:
        batch.append(row)
        size += len(row[1] or b"")
        if len(batch) == ROWS or size > BATCH_BYTES:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def write_index(
    file: Path, rows: Iterable[Row], labels: list[int], class_names: list[str], in_files: bool
) -> None:
    """Write the index of a split, see `EncodedImages`, a few hundred images at a time.

    If the images are ``in_files`` of their own, only their paths are written. An existing index is
    replaced after all images are written.
    """
    import pyarrow as pa

    fields = [("name", pa.string()), ("label", pa.int64())]
    schema = pa.schema(fields if in_files else [*fields, ("image", pa.binary())])
    schema = schema.with_metadata({"class_names": json.dumps(class_names)})
    written = 0
    with (
        replacing(file) as partial,
        pa.OSFile(str(partial), "wb") as out,
        pa.ipc.new_file(out, schema) as writer,
    ):
        for batch in batches(rows):
            names, images = zip(*batch, strict=True)
            columns = [list(names), labels[written : written + len(batch)]]
            columns += [] if in_files else [list(images)]
            writer.write_batch(pa.record_batch(columns, schema=schema))
            written += len(batch)
