"""Random access to encoded images on disk, without reading them into memory."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ir2search.files import replacing

ROWS = 512  # in each batch that is written


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
        return Path(self.name(index)).read_bytes()

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


def write_index(
    file: Path,
    rows: Iterable[tuple[str, bytes | None]],
    labels: list[int],
    class_names: list[str],
) -> None:
    """Write the index of a split, a few hundred images at a time.

    Args:
        file: the index; an existing file is replaced after all images are written.
        rows: name and encoded bytes of each image; None in place of bytes if the name is a path.
        labels: label of each image.
        class_names: names of the classes, in the order of the labels.
    """
    import pyarrow as pa

    remaining = iter(rows)
    first = next(remaining)
    in_files = first[1] is None
    fields = [("name", pa.string()), ("label", pa.int64())]
    schema = pa.schema(fields if in_files else [*fields, ("image", pa.binary())])
    schema = schema.with_metadata({"class_names": json.dumps(class_names)})
    written = 0
    with (
        replacing(file) as partial,
        pa.OSFile(str(partial), "wb") as out,
        pa.ipc.new_file(out, schema) as writer,
    ):
        everything = itertools.chain([first], remaining)
        while batch := list(itertools.islice(everything, ROWS)):
            names, images = zip(*batch, strict=True)
            columns = [list(names), labels[written : written + len(batch)]]
            columns += [] if in_files else [list(images)]
            writer.write_batch(pa.record_batch(columns, schema=schema))
            written += len(batch)
