"""Strategies that damage files: any JSON value in any place, any TOML value, any bytes."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from typing import Any

import tomli_w
from hypothesis import strategies as st

# Texts that a parser of JSON reads, or nearly; `json.dumps` does not write them.
RAW_JSON = (
    "NaN", "Infinity", "-Infinity", "1e999", "-0.0", "1e308", "9" * 5000, "9" * 400 + ".0",
    "[" * 5000, "[" * 900 + "]" * 900, '{"a":' * 900 + "1" + "}" * 900, '"\\ud800"', '"\\u0000"',
    '"\\u001b[31m"', "", "1 2", '"', "{", "tru", str(2**63), str(-(2**64)),
    '"' + "x" * 100_000 + '"',
)  # fmt: skip
MARK = "the place of the damage"

scalars = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=20),
    st.sampled_from([-1, 0, 1, 10**9, 2**31, 2**63, 0.5, "", "-1", "1", "a\nb"]),
    st.sampled_from(["/dev/zero", "../x"]),
)  # fmt: skip
values = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=6,
)
json_texts = st.one_of(values.map(json.dumps), st.sampled_from(RAW_JSON))


@st.composite
def damaged_json(draw: st.DrawFn, text: str) -> str:
    """A JSON text of which one value is another one, is missing, or has another name."""
    document = json.loads(text)
    path = draw(st.sampled_from(list(_paths(document))))
    how = draw(st.sampled_from(["replace", "replace", "replace", "remove", "rename", "add"]))
    new = draw(json_texts)
    return put(document, path, how, draw(st.text(max_size=8))).replace(json.dumps(MARK), new)


def put(document: Any, path: tuple[Any, ...], how: str, name: str) -> str:
    """JSON with `MARK` in the place of a value, or without the value, or beside it."""
    if not path:
        return json.dumps(MARK)
    document = copy.deepcopy(document)
    *above, last = path
    owner = document
    for key in above:
        owner = owner[key]
    if how == "replace":
        owner[last] = MARK
    elif how == "remove":
        del owner[last]
    elif isinstance(owner, list):
        owner.append(MARK)
    elif how == "rename":
        owner[name] = owner.pop(last)
    else:
        owner[name] = MARK
    return json.dumps(document)


def _paths(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield path
    items = value.items() if isinstance(value, dict) else ()
    for key, inner in enumerate(value) if isinstance(value, list) else items:
        yield from _paths(inner, (*path, key))


# Values of TOML; `tomli_w` does not write all of them.
RAW_TOML = (
    "{}", "[]", "[[]]", "[{}, 1]", "[1, 1]", "1979-05-27", "07:32:00", "inf", "-inf", "nan",
    "1e308", "9" * 5000, "-" + "9" * 400, "0x" + "f" * 5000, "1e-320", "[" * 900 + "]" * 900,
    "[true, false]",
    "{ low = 1, high = 2, step = 0 }", "{ low = 0, high = inf }", "{ low = -1e308, high = 1e308 }",
    "{ low = 1, high = 9e18 }", "{ low = 0.5, high = 1, step = 1e-300 }",
    "{ low = 1, high = 2, log = 1 }",
    "{ low = 2, high = 8, step = 2.0 }", "{ low = 1, high = 3, step = 1.5 }",
    "{ low = nan, high = nan }", "[nan, nan]", "[1, 1.0, true]", '["1", 1]', "", "=", '"',
    "a.b = 1",
)  # fmt: skip
toml_texts = st.one_of(
    scalars.filter(lambda value: value is not None).map(lambda value: _toml(value)),
    st.lists(scalars.filter(lambda value: value is not None), max_size=3).map(lambda v: _toml(v)),
    st.sampled_from(RAW_TOML),
)


@st.composite
def damaged_toml(draw: st.DrawFn, document: dict[str, Any]) -> str:
    """TOML of which one value is another one, is missing, or has another name."""
    path = draw(st.sampled_from([path for path in _paths(document) if path]))
    how = draw(st.sampled_from(["replace", "replace", "replace", "remove", "rename", "add"]))
    changed = json.loads(put(document, path, how, draw(st.text(max_size=8))))
    return tomli_w.dumps(changed).replace(json.dumps(MARK), draw(toml_texts))


def _toml(value: Any) -> str:
    return tomli_w.dumps({"x": value}).removeprefix("x = ").rstrip()


@st.composite
def damaged_safetensors(draw: st.DrawFn, content: bytes) -> bytes:
    """A safetensors file with damaged bytes, or with a damaged header."""
    if draw(st.booleans()):
        return draw(damaged_bytes(content))
    end = 8 + int.from_bytes(content[:8], "little")
    header = json.loads(content[8:end])
    about = header.get("__metadata__", {})
    if "graph" in about and draw(st.booleans()):
        about["graph"] = draw(damaged_json(about["graph"]))
        text = json.dumps(header)
    else:
        text = draw(damaged_json(json.dumps(header)))
    return len(text.encode()).to_bytes(8, "little") + text.encode() + content[end:]


@st.composite
def damaged_bytes(draw: st.DrawFn, content: bytes) -> bytes:
    """Bytes that are cut, changed, repeated or added in some places."""
    result = bytearray(content)
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(result)))
        end = min(len(result), start + draw(st.integers(0, 16)))
        how = draw(st.sampled_from(["change", "change", "cut", "insert", "repeat"]))
        if how == "cut":
            del result[draw(st.sampled_from([start, end])) :]
        elif how == "repeat":
            result[start:start] = result[start:end] * 3
        else:
            result[start : end if how == "change" else start] = draw(st.binary(max_size=16))
    return bytes(result)
