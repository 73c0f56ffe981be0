"""Check the structure of a parquet file before it is decoded.

pyarrow allocates the sizes that a file declares, so a file of 3 kB can take gigabytes. The footer
and the header before each page are structs in Thrift's compact protocol, see ``parquet.thrift`` of
https://github.com/apache/parquet-format. They are read here first, and compared with the file.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from typing import Any, BinaryIO

MARK = b"PAR1"
LARGEST_FOOTER = 16 << 20  # bytes
LARGEST_HEADER = 1 << 20  # bytes, of a page
LARGEST_PAGE = 64 << 20  # bytes of a page that expands more than `EXPANSION` times
EXPANSION = 15  # images hardly compress
MOST_FIELDS = 2_000_000  # of the footer and of all headers
MOST_COLUMNS = 10_000
MOST_VALUES = 1 << 24  # of a column in a group of rows, in a file with fewer bytes
DEEPEST = 16
START = 4096  # bytes that are read for a header at first; most have less than 100

# types of values in Thrift's compact protocol; both of the first two are booleans
TRUE, FALSE, BYTE, I16, I32, I64, DOUBLE, BINARY, LIST, SET, _, STRUCT = range(1, 13)
BITS = {I16: 16, I32: 32, I64: 64}
Struct = Mapping[int, tuple[int, Any]]  # type and value by the number of a field
Layout = Mapping[int, tuple[int, Any]]  # type of the elements, and their layout, by field

# Where a list's elements have another type than Parquet's, readers may disagree on what follows.
COLUMN: Layout = {
    2: (I32, {}), 3: (BINARY, {}), 8: (STRUCT, {}), 13: (STRUCT, {}),
    16: (STRUCT, {2: (I64, {}), 3: (I64, {})}), 17: (STRUCT, {2: (I32, {})}),
}  # fmt: skip
CHUNK: Layout = {3: (STRUCT, COLUMN), 8: (STRUCT, {2: (STRUCT, {1: (BINARY, {})})})}
GROUP: Layout = {1: (STRUCT, CHUNK), 4: (STRUCT, {})}
FILE: Layout = {2: (STRUCT, {}), 4: (STRUCT, GROUP), 5: (STRUCT, {}), 7: (STRUCT, {})}

# types of pages, and the field of a page's header that describes it
DATA, INDEX, DICTIONARY, DATA_2 = range(4)
ABOUT = {DATA: 5, DICTIONARY: 7, DATA_2: 8}


def largest_page(stream: BinaryIO) -> int:
    """The size of a parquet file's largest page in memory, in bytes; no cell is larger.

    Raises:
        ValueError: the file is damaged, or declares sizes that no such file has.
    """
    size = stream.seek(0, os.SEEK_END)
    left = _Budget()
    file = _footer(stream, size, left)
    _check("columns", len(_list(file, 2)), MOST_COLUMNS)
    groups = _list(file, 4)
    if sum(_whole(group, 3, I64) for group in groups) != _whole(file, 3, I64):
        raise ValueError("its groups of rows do not have as many rows as the file")
    largest = 1
    for group in groups:
        for chunk in _list(group, 1):
            for page in _pages(stream, size, _get(chunk, 3, STRUCT), left):
                largest = max(largest, page)
    return largest


def _footer(stream: BinaryIO, size: int, left: _Budget) -> Struct:
    stream.seek(max(0, size - 8))
    end = stream.read(8)
    if len(end) < 8 or end[4:] != MARK:
        raise ValueError("it does not end as a Parquet file")
    length = int.from_bytes(end[:4], "little")
    _check("bytes of the footer", length, min(LARGEST_FOOTER, size - 8))
    stream.seek(size - 8 - length)
    try:
        return _Thrift(stream.read(length), left).struct(FILE)
    except IndexError:
        raise ValueError("its footer is cut") from None


def _pages(stream: BinaryIO, size: int, column: Struct, left: _Budget) -> Iterator[int]:
    """The sizes in memory of the pages of a column in a group of rows."""
    count = _whole(column, 5, I64)
    _check("values of a column", count, max(MOST_VALUES, size))
    position = _whole(column, 9, I64)
    if 11 in column:
        position = min(position, _whole(column, 11, I64) or position)
    end = position + _whole(column, 7, I64)
    _check("bytes, where a column ends", end, size)
    found = 0
    while found < count:
        header, position = _header(stream, position, end, left)
        kind, unpacked, packed = (_whole(header, field, I32) for field in (1, 2, 3))
        _check("bytes, where a page ends", position + packed, end)
        _check("bytes of a page", unpacked, max(LARGEST_PAGE, EXPANSION * packed))
        if kind in ABOUT:
            values = _whole(_get(header, ABOUT[kind], STRUCT), 1, I32)
            if kind == DICTIONARY:
                _check("values of a dictionary", values, unpacked // 2)
            else:
                found += values
                _check("values of the pages of a column", found, count)
        position += packed
        yield unpacked


def _header(stream: BinaryIO, position: int, end: int, left: _Budget) -> tuple[Struct, int]:
    """The header of a page, and the place after it."""
    for length in (START, LARGEST_HEADER):
        stream.seek(position)
        thrift = _Thrift(stream.read(max(0, min(length, end - position))), left)
        try:
            return thrift.struct({}), position + thrift.position
        except IndexError:
            continue
    raise ValueError("the header of a page is cut or too large")


class _Budget:
    """Counts fields down from `MOST_FIELDS`."""

    def __init__(self) -> None:
        self._count = 0

    def take(self) -> None:
        self._count += 1
        _check("fields of its structure", self._count, MOST_FIELDS)


class _Thrift:
    """Reads structs in Thrift's compact protocol; text is skipped.

    Reading beyond the end raises an IndexError.
    """

    def __init__(self, data: bytes, left: _Budget) -> None:
        self._data = data
        self._left = left
        self.position = 0

    def struct(self, layout: Layout, depth: int = 0) -> Struct:
        _check("levels of its structure", depth, DEEPEST)
        found: dict[int, tuple[int, Any]] = {}
        field = 0
        while head := self._byte():
            self._left.take()
            step, kind = head >> 4, head & 15
            field = field + step if step else self._integer(16)
            if field in found:
                raise ValueError("a field of its structure is there twice")
            found[field] = kind, self._value(kind, layout.get(field), depth)
        return found

    def _value(self, kind: int, layout: tuple[int, Any] | None, depth: int) -> Any:
        if kind in BITS:
            return self._integer(BITS[kind])
        if kind == BINARY:
            return self._skip(self._varint())
        if kind == STRUCT:
            return self.struct(layout[1] if layout else {}, depth + 1)
        if kind in (LIST, SET):
            return self._elements(layout, depth)
        if kind == DOUBLE:
            return self._skip(8)
        if kind == BYTE:
            return self._byte()
        if kind in (TRUE, FALSE):
            return kind == TRUE
        raise ValueError("its structure has an unknown type")

    def _elements(self, layout: tuple[int, Any] | None, depth: int) -> list[Any]:
        head = self._byte()
        count, kind = head >> 4, head & 15
        if count == 15:
            count = self._varint()
        same = layout is None or kind == layout[0] or {kind, layout[0]} <= BITS.keys()
        if count and not same:
            raise ValueError("a list of its structure has another type")
        found = []
        for _ in range(count):
            self._left.take()
            is_bool = kind in (TRUE, FALSE)
            found.append(self._byte() if is_bool else self._value(kind, layout, depth + 1))
        return found

    def _integer(self, bits: int) -> int:
        coded = self._varint()
        if coded >> bits:
            raise ValueError("a number of its structure is too large")
        return (coded >> 1) ^ -(coded & 1)

    def _varint(self) -> int:
        value = shift = 0
        while True:
            byte = self._byte()
            value |= (byte & 127) << shift
            if byte < 128:
                return value
            shift += 7
            _check("bits of a number of its structure", shift, 63)

    def _byte(self) -> int:
        self.position += 1
        return self._data[self.position - 1]

    def _skip(self, count: int) -> None:
        self.position += count
        if self.position > len(self._data):
            raise IndexError


def _get(struct: Struct, field: int, kind: int) -> Any:
    found, value = struct.get(field, (0, None))
    if found != kind:
        raise ValueError("a field of its structure is missing or has another type")
    return value


def _whole(struct: Struct, field: int, kind: int) -> int:
    value: int = _get(struct, field, kind)
    if value < 0:
        raise ValueError("a number of its structure is negative")
    return value


def _list(struct: Struct, field: int) -> list[Any]:
    value: list[Any] = _get(struct, field, LIST)
    return value


def _check(what: str, value: int, limit: int) -> None:
    if value > limit:
        raise ValueError(f"{what}: {value:,}, but at most {limit:,} are possible")
