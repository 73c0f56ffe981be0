"""Read images from parquet files, as on the Hugging Face hub.

A split is ``train-*.parquet``, ``train.parquet`` or the files of a folder ``train``. A table has a
column ``img`` or ``image`` of encoded bytes (or of structs with a field ``bytes``) and a column
``label``; `Columns` can name others. The hub's metadata can have the names of the classes; labels
of a table whose names have another order are mapped by name. Without names, labels count from 0 or
from 1.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from ir2search import text
from ir2search.data.decode import checked_labels
from ir2search.data.directories import entries, is_regular, named
from ir2search.data.encoded import Row
from ir2search.data.listing import (
    MAX_CLASSES,
    MAX_IMAGES,
    TEST_NAMES,
    TRAIN_NAMES,
    Columns,
    FolderSource,
    Listing,
    Part,
    check_count,
    missing_split,
)
from ir2search.data.pixels import MAX_BYTES, check_bytes
from ir2search.errors import DataError, first_line
from ir2search.parquet import EXPANSION, largest_page

ROWS = 256  # in each batch that is read
LABELS = 65_536  # in each batch
BATCH_BYTES = 256_000_000  # upper limit of a batch, if each cell were as large as its page
IMAGE_COLUMNS = ("img", "image")
LABEL_COLUMNS = ("label", "labels")


def find_parquet(place: Path, columns: Columns) -> FolderSource | None:
    """Look in a folder for the parquet files of splits; None if there are none.

    Raises:
        DataError: a split is missing, or no test split has labels; or a table lacks a column.
    """
    splits = _splits(place)
    tests = {name: splits[name] for name in TEST_NAMES if name in splits}
    train = next((splits[name] for name in TRAIN_NAMES if name in splits), [])
    if not splits:
        return None
    if not train or not tests:
        raise missing_split(place, "training" if tests else "test")
    columns = _open(train[0], columns).columns
    chosen = next((name for name, found in tests.items() if _have_labels(found, columns)), None)
    if chosen is None:
        raise DataError(
            f"{next(iter(tests.values()))[0]}: has no labels, and no other test split has any; "
            "add a test split with labels"
        )
    files = {"train": train, "test": tests[chosen]}
    listing = partial(_listing, files, columns)
    return FolderSource(
        layout="parquet files",
        files=files,
        notes=[f"images are in the column `{columns.image}`, labels in `{columns.label}`"],
        warnings=_warnings(tests, chosen),
        listing=listing,
        read=lambda size: listing().read(size),
    )


def _splits(place: Path) -> dict[str, list[Path]]:
    """Files by split: ``split.parquet``, ``split-*.parquet`` and ``split/*.parquet``."""
    names = (*TRAIN_NAMES, *TEST_NAMES)
    tables = _tables(place)
    below = {folder.name.lower(): _tables(folder) for folder in named(place, names)}
    found = {
        name: sorted([path for path in tables if _is_of(path, name)] + below.get(name, []))
        for name in names
    }
    return {name: files for name, files in found.items() if files}


def _tables(place: Path) -> list[Path]:
    return [
        Path(entry)
        for entry in entries(place)
        if entry.name.lower().endswith(".parquet") and is_regular(entry)
    ]


def _is_of(path: Path, split: str) -> bool:
    stem = path.stem.lower()
    return stem == split or stem.startswith(f"{split}-")


def _have_labels(files: list[Path], columns: Columns) -> bool:
    """Whether tables have labels; tables without have no such column, only -1, or only nulls."""
    readers = [_reader(file)[0] for file in files]
    if any(columns.label not in reader.schema_arrow.names for reader in readers):
        return False
    labels = [label for file in files for label in _open(file, columns).labels()]
    return not labels or any(label is not None and label != -1 for label in labels)


def _warnings(tests: dict[str, list[Path]], chosen: str) -> list[str]:
    """Name the test splits that are not used: those before the chosen one have no labels."""
    warnings, why = [], "it has no labels; "
    for name, files in tests.items():
        if name == chosen:
            why = ""
        else:
            warnings.append(
                f"{files[0]}: the split `{name}` is not used: {why}`{chosen}` is the test split"
            )
    return warnings


def _listing(splits: dict[str, list[Path]], columns: Columns) -> Listing:
    tables = {split: [_open(file, columns) for file in files] for split, files in splits.items()}
    labels = {split: [table.labels() for table in opened] for split, opened in tables.items()}
    for split, found in labels.items():
        if not any(found):
            raise DataError(f"{splits[split][0]}: the table has no rows; add images")
        check_count(str(splits[split][0]), sum(map(len, found)), "images", MAX_IMAGES)
    classes = _classes([table for opened in tables.values() for table in opened], labels["train"])
    check_count(str(splits["train"][0]), len(classes.names), "classes", MAX_CLASSES)
    parts = {
        split: Part(
            partial(_rows, splits[split], columns),
            [
                label
                for table, found in zip(tables[split], labels[split], strict=True)
                for label in classes.numbers(table, found)
            ],
        )
        for split in splits
    }
    return Listing(parts, classes.names, in_files=False)


@dataclass(frozen=True)
class _Classes:
    """The classes of the training tables.

    Attributes:
        names: their names, in the order of the labels.
        first: label of the first class, 0 or 1.
        file: the table that the names are from.
    """

    names: list[str]
    first: int
    file: Path

    def numbers(self, table: _Table, labels: Sequence[int | None]) -> list[int]:
        """Labels of a table counted from 0, in the order of `names`."""
        if table.class_names is None or table.class_names == self.names:
            return checked_labels(labels, len(self.names), str(table.file), self.first)
        if len(set(self.names)) < len(self.names):
            raise DataError(
                f"{table.file}: its classes have another order than those of {self.file}, where "
                "two have the same name; write all tables with one order"
            )
        own = checked_labels(labels, len(table.class_names), str(table.file), self.first)
        number = {name: label for label, name in enumerate(self.names)}
        for row, label in enumerate(own):
            name = table.class_names[label]
            if name not in number:
                raise DataError(
                    f"{table.file}: row {row}: the class {name!r} is not a class of {self.file}; "
                    "write all tables with the same classes"
                )
        return [number[table.class_names[label]] for label in own]


def _classes(tables: list[_Table], train: list[list[int | None]]) -> _Classes:
    labels = [label for found in train for label in found if label is not None]
    low, high = min(labels, default=0), max(labels, default=0)
    named = next((table for table in tables if table.class_names), None)
    if named is None or named.class_names is None:
        first = int(low == 1)
        # at most as many classes as images, so that a wrong label is found to be out of range
        end = min(high + 1, first + len(labels)) if labels else 1
        return _Classes([str(label) for label in range(first, end)], first, tables[0].file)
    names = named.class_names
    same = all(table.class_names in (None, names) for table in tables)
    return _Classes(names, int(same and low == 1 and high == len(names)), named.file)


def _rows(files: list[Path], columns: Columns) -> Iterator[Row]:
    """Name and encoded bytes of each image."""
    for file in files:
        for row, image in enumerate(_open(file, columns).images()):
            name = f"{file}: row {row}"
            if isinstance(image, str):
                raise DataError(
                    f"{name}: holds a path, {image!r}, and no image; write the bytes of the images "
                    "into the table"
                )
            check_bytes(len(image), name)
            yield name, image


@dataclass(frozen=True)
class _Table:
    """An open table.

    Attributes:
        file: its file.
        reader: a `pyarrow.parquet.ParquetFile`.
        largest: size of its largest page, in bytes.
        columns: the names of its columns.
        parts: paths of the columns that images are read from.
        class_names: the names of its classes, if it has them.
    """

    file: Path
    reader: Any
    largest: int
    columns: Columns
    parts: list[str]
    class_names: list[str] | None

    def labels(self) -> list[int | None]:
        rows, stored = self.reader.metadata.num_rows, self.file.stat().st_size
        check_count(str(self.file), rows, "images", MAX_IMAGES)
        if rows > stored:
            raise DataError(
                f"{self.file}: has {rows:,} rows in {stored:,} bytes, as no images do; write "
                "encoded images into it"
            )
        found: list[int | None] = []
        with _readable(self.file):
            for batch in self.reader.iter_batches(LABELS, columns=[self.columns.label]):
                found += batch.column(0).to_pylist()
                if len(found) > rows:
                    break
        self._check_rows(len(found))
        return found

    def images(self) -> Iterator[bytes | str]:
        """Encoded images; the path where a table has no bytes."""
        count, total, stored = 0, 0, self.file.stat().st_size
        with _readable(self.file):
            # a repeated cell is stored once, so sizes do not add up
            size = max(1, min(ROWS, BATCH_BYTES // self.largest))
            for batch in self.reader.iter_batches(size, columns=self.parts):
                count += len(batch)
                if count > self.reader.metadata.num_rows:
                    break
                for cell in batch.column(0):
                    value = cell.as_py()
                    if isinstance(value, dict):
                        value = value.get("bytes") or value.get("path")
                    total += len(value or b"")
                    self._check_expansion(total, stored)
                    yield value or b""
        self._check_rows(count)

    def _check_rows(self, count: int) -> None:
        if count != self.reader.metadata.num_rows:
            raise DataError(
                f"{self.file}: a column has {count:,} rows and the table "
                f"{self.reader.metadata.num_rows:,}; the file is damaged: write it again"
            )

    def _check_expansion(self, size: int, stored: int) -> None:
        if size > MAX_BYTES and size > EXPANSION * stored:
            raise DataError(
                f"{self.file}: column `{self.columns.image}` expands from {text.size(stored)} to "
                f"{text.size(size)} or more, as no images do; write encoded images into it"
            )


def _open(file: Path, columns: Columns) -> _Table:
    import pyarrow as pa

    reader, largest = _reader(file)
    schema = reader.schema_arrow
    images = _column(file, schema.names, "image", columns.image, IMAGE_COLUMNS)
    labels = _column(file, schema.names, "label", columns.label, LABEL_COLUMNS)
    if not pa.types.is_integer(schema.field(labels).type):
        raise DataError(
            f"{file}: column `{labels}` must hold whole numbers; set `label` in [data] to another"
        )
    kind, parts = schema.field(images).type, [images]
    if pa.types.is_struct(kind) and kind.get_field_index("bytes") >= 0:
        parts = [f"{images}.{part}" for part in ("bytes", "path") if _is_text_or_bytes(kind, part)]
        kind = kind.field("bytes").type
    if not (pa.types.is_binary(kind) or pa.types.is_large_binary(kind)):
        raise DataError(
            f"{file}: column `{images}` must hold encoded images (bytes), but holds {kind}; set "
            "`image` in [data] to another"
        )
    names = _class_names(schema, labels)
    return _Table(file, reader, largest, Columns(images, labels), parts, names)


def _is_text_or_bytes(kind: Any, part: str) -> bool:
    """Whether a struct has such a field; of one of a fixed size, a missing cell takes all of it."""
    import pyarrow as pa

    types = (pa.binary(), pa.large_binary(), pa.string(), pa.large_string())
    return kind.get_field_index(part) >= 0 and kind.field(part).type in types


def _column(
    file: Path, present: list[str], key: str, wanted: str | None, usual: tuple[str, ...]
) -> str:
    names = usual if wanted is None else (wanted,)
    found = next((name for name in names if name in present), None)
    if found is None:
        raise DataError(
            f"{file}: has no column {' or '.join(f'`{name}`' for name in names)}, only "
            f"{text.names(present)}; set `{key}` in [data] to one of them"
        )
    return found


def _reader(file: Path) -> tuple[Any, int]:
    """A reader of a file, and the size of its largest page in bytes."""
    import pyarrow.parquet as pq

    with _readable(file):
        with file.open("rb") as stream:
            largest = largest_page(stream)
        reader = pq.ParquetFile(file, pre_buffer=False)
        assert reader.schema_arrow.names is not None  # names that are not UTF-8 fail here
        return reader, largest


@contextmanager
def _readable(file: Path) -> Iterator[None]:
    import pyarrow as pa

    try:
        yield
    except (pa.ArrowException, OSError, ValueError) as error:
        reason = first_line(error)
        raise DataError(
            f"{file}: cannot be read as a parquet file ({reason}); replace or remove it"
        ) from None


def _class_names(schema: Any, column: str) -> list[str] | None:
    """Names of the classes from the hub's metadata; None if it has none."""
    try:
        names = json.loads(schema.metadata[b"huggingface"])["info"]["features"][column]["names"]
    except (TypeError, LookupError, ValueError, RecursionError):
        return None
    return [str(name) for name in names] if isinstance(names, list) and names else None
