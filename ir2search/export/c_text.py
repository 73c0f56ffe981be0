"""Constants and names as text of C99."""

from __future__ import annotations

import re
from collections.abc import Iterable

import numpy as np

from ir2search.runtime.graph import Array

WIDTH = 96  # columns of a line
INDENT = " " * 4
TYPES = {"float32": "float", "uint32": "uint32_t", "int32": "int32_t", "uint8": "uint8_t"}


def array(name: str, values: Array) -> str:
    """The definition of a constant array.

    Args:
        name: an identifier.
        values: float32, uint32, int32 or uint8; finite.
    """
    kind = TYPES[values.dtype.name]
    rows = joined(map(number, values.ravel()))
    return f"static const {kind} {name}[{values.size}] = {{\n{rows}\n}};\n"


def joined(words: Iterable[str], indent: str = INDENT) -> str:
    """Words with commas between them, in lines of at most WIDTH columns."""
    lines, line = [], indent
    for word in words:
        if len(line) + len(word) > WIDTH and line != indent:
            lines.append(line.rstrip())
            line = indent
        line += f"{word}, "
    lines.append(line.rstrip().rstrip(","))
    return "\n".join(lines)


def number(value: np.generic) -> str:
    """A constant, which C reads back as exactly this value."""
    if isinstance(value, np.floating):
        digits = str(np.float32(value))  # the shortest that float32 is read back from
        return f"{digits}f" if re.search(r"[.e]", digits) else f"{digits}.0f"
    return f"0x{int(value):08x}u" if value.dtype == np.uint32 else str(int(value))


def string(value: str) -> str:
    """A string constant in UTF-8; no characters of it are special in C."""
    return '"' + "".join(map(_character, value.encode())) + '"'


def comment(value: str) -> str:
    """A text that cannot end a comment."""
    return re.sub(r"[^\w .,:+-]", "_", value, flags=re.ASCII)


def identifier(value: str) -> str:
    """A name with all other characters replaced; it may begin with a digit."""
    return re.sub(r"\W", "_", value, flags=re.ASCII)


def _character(byte: int) -> str:
    plain = 32 <= byte < 127 and chr(byte) not in '"\\?'  # two ? can begin a trigraph
    return chr(byte) if plain else f"\\{byte:03o}"
