"""Hostile inputs by kind: files, and the command that reads them.

Each case must end in one sentence and exit code 2, if it gives no other code.
"""

from __future__ import annotations

import functools
import io
import json
import shlex
import struct
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import tomli_w
from PIL import Image
from safetensors.numpy import save

# bytes, text, a function of the path, or changes of a small study
Content = bytes | str | Callable[[Path], object] | Mapping[str, Any]

HUGE = "9" * 5000  # Python refuses to parse such a number
NESTED = "[" * 100_000


@dataclass(frozen=True)
class Case:
    """One input.

    Attributes:
        name: of the case, for the report of tests.
        command: the arguments; ``{run}`` is the folder of a run.
        files: what is written before, by path in the test's folder.
        part: a part of the message.
        codes: exit codes that are right.
    """

    name: str
    command: tuple[str, ...]
    files: Mapping[str, Content] = field(default_factory=dict)
    part: str = ""
    codes: tuple[int, ...] = (2,)


def link(target: str) -> Callable[[Path], object]:
    return lambda path: path.symlink_to(target)


def fifo(path: Path) -> None:
    import os

    os.mkfifo(path)


def sparse(size: int) -> Callable[[Path], object]:
    """A file of zeros that takes no space."""

    def write(path: Path) -> None:
        with path.open("wb") as stream:
            stream.truncate(size)

    return write


def later(make: Callable[[], bytes]) -> Callable[[Path], object]:
    """Content that takes a while to make. Several cases may use it."""
    once = functools.cache(make)
    return lambda path: path.write_bytes(once())


SPECIAL: dict[str, Content] = {
    "a pipe": fifo,
    "a folder": Path.mkdir,
    "a device": link("/dev/zero"),
    "a link to itself": lambda path: path.symlink_to(path.name),
    "a large file": sparse(5 << 30),
    "nothing": b"",
    "bytes": bytes(range(256)) * 10,
    "UTF-16": "{}".encode("utf-16"),
}
JSON: dict[str, Content] = {
    "null": "null",
    "a list": "[]",
    "a text": '"x"',
    "a huge number": HUGE,
    "a deep list": NESTED,
    "not a number": '{"a": NaN}',
    "half a pair": '{"\\ud800": 1}',
    "cut": '{"a": ',
}


# ------------------------------------------------------------------------------ study files


def study(base: Mapping[str, Any], change: Mapping[str, Any]) -> str:
    """A study file with changed values; None removes a value."""
    merged = {**base, **change}
    for name, value in change.items():
        if isinstance(value, dict) and isinstance(base.get(name), dict):
            both = {**base[name], **value}
            merged[name] = {key: each for key, each in both.items() if each is not None}
    return tomli_w.dumps(merged)


NAN, INF = float("nan"), float("inf")
CHANGES: list[dict[str, Any]] = [
    *({"trials": value} for value in (2**63, 10**400, 1e308, NAN, INF, [], {}, "5", 0, -1)),
    *({"seed": value} for value in (2**31, -1, 1e9, "x")),
    *({"name": value} for value in ("a\0b", ".", "..", "a/b", "a\nb", "x" * 300, "", 5)),
    *({"modules": [value]} for value in (
        "\0.py", "a\0b", "", ".", "..", "../x.py", "/dev/zero.py", ".py", "a" * 5000 + ".py",
        "a..b", "..x", 5, "no/such", "é\udcff".encode("utf-8", "ignore").decode(),
    )),
    *({"data": value} for value in (
        {"source": "folder", "path": "\0"}, {"source": "folder", "path": "/dev/zero"},
        {"source": "folder", "path": ""}, {"source": "folder", "path": "x" * 5000},
        {"size": 1e308}, {"size": 2**63}, {"size": 4096}, {"validation": NAN},
        {"stream": True}, {"image": "\0"}, {"source": "\0"},
    )),
    *({"space": {name: value}} for name, value in (
        ("width", 1e308), ("width", NAN), ("width", -INF), ("width", 2**63),
        ("width", {"low": -1e308, "high": 1e308}), ("width", {"low": 1, "high": 2, "log": 1}),
        ("width", {"low": 1e-320, "high": 1.0, "step": 1e-320}),
        ("width", {"low": 0.1, "high": 1.0, "step": INF}),
        ("depth", 2**63), ("depth", list(range(20_000))), ("depth", {"low": 8, "high": 6 * 10**11}),
        ("depth", {"low": 8, "high": 2**62, "step": 6}), ("depth", 1e308),
        ("depth", 10**400), ("width", 10**400), ("depth", {"low": 8, "high": 10**400}),
        ("threshold", INF), ("threshold", "x" * 10_000),
        ("threshold", {"low": 0.0, "high": 1.0, "step": 1e-10}),
        ("fusion_ratio", INF), ("fusion_ratio", 10**400),
        ("taps", {"\0": True}), ("taps", {str(n): True for n in range(5000)}),
        ("taps", {"stem": {"a": 1}}), ("backbone", "\0"), ("estimator", 5), ("fusion", [[]]),
        ("normalization", {"low": 1, "high": 2}), ("weights", [1, "a"]),
    )),
    *({"budget": {"ops": value}} for value in (
        "1e400", HUGE + "G", "nan", INF, "-1", "1e-400", 10**400,
    )),
    *({"recipe": value} for value in (
        {"epochs": 2**63}, {"epochs": 10**400}, {"batch_size": 2**63}, {"lr": 10**400},
        {"lr": 1e309}, {"crop_padding": 2**63},
        {"momentum": NAN}, {"optimizer": "\0"}, "\0", "../x",
        {"distillation": {"teacher": "resnet18", "weights": "/dev/zero"}},
        {"distillation": {"teacher": "resnet18", "weights": "\0"}},
        {"distillation": {"teacher": "\0", "weights": "a"}},
    )),
    *({"rungs": value} for value in ({"minimum": 2**63}, {"factor": 2**64 - 1, "minimum": 9})),
    *({"stop": value} for value in (
        {"hours": INF}, {"hours": 10**400}, {"hours": -1.0}, {"epochs": 0},
    )),
    *({"supernet": {name: 10**12}} for name in ("epochs", "finetune", "random", "calibration")),
    {"warm_start": {"epochs": 10**12}}, {"stop": {"stale_trials": 10**12}},
    {"confirm": {"seeds": 10**9}}, {"resources": {"cpus": NAN}}, {"latency": {"threads": 2**63}},
    {"objectives": ["accuracy", "\0"]}, {"objectives": ["accuracy", *map(str, range(5000))]},
    {"sampler": "\0"}, {"sampler": ["tpe"]},
]  # fmt: skip
RAW: dict[str, Content] = {
    **SPECIAL,
    "a byte order mark": b"\xef\xbb\xbf",
    "Latin-1": 'name = "\xe9"'.encode("latin-1"),
    "no key": "= 1",
    "a huge number": f"trials = {HUGE}",
    "a deep list": "a = " + NESTED,
    "deep tables": "a = " + "{a = " * 20_000,
    "dots": ".".join("a" * 600) + " = 1",
    "a header of dots": "[" + ".".join("a" * 50_000) + "]",
    "an open text": 'name = "',
    "a key twice": "seed = 1\nseed = 2",
    "a date": "trials = 1979-05-27",
    "a control character": 'name = "\x00"',
    "a wrong escape": r'name = "\uD800"',
    "a table as a value": "[trials]\na = 1",
}


def study_cases() -> Iterator[Case]:
    run = ("run", "a.toml", "--device", "cpu")
    for number, change in enumerate(CHANGES):
        name = f"study {number}: {json.dumps(change)[:60]}"
        yield Case(name, run, {"a.toml": change})
    for name, content in RAW.items():
        yield Case(f"study file: {name}", run, {"a.toml": content})


# ------------------------------------------------------------------------------- candidates

CANDIDATES: list[object] = [
    {"classes": 2**63}, {"classes": 10**400}, {"classes": -1}, {"classes": 1e308},
    {"image": [3, 1e308, 8]}, {"image": [2**63] * 3}, {"image": [3]}, {"image": [3, 8, -8]},
    {"image": "x" * 100_000}, {"width": 1e308}, {"width": 10**400}, {"width": "1"}, {"width": True},
    {"depth": 2**63}, {"depth": 1e308}, {"depth": None}, {"taps": ["\0"]}, {"taps": [1]},
    {"taps": ["stem"] * 100_000}, {"taps": {"stem": True}}, {"backbone": "\0"}, {"backbone": []},
    {"fusion_group_size": 10**30, "fusion": "compact", "taps": ["stem"]},
    {"threshold": -1}, {"threshold": 1e400}, {"x" * 100_000: 1}, {"estimator": {}}, [], "x", 5,
]  # fmt: skip


def candidate_cases() -> Iterator[Case]:
    for number, value in enumerate(CANDIDATES):
        text = json.dumps(value)
        # a tap that is given many times is the same tap
        codes = (0, 2) if 'stem", "stem' in text else (2,)
        yield Case(
            f"candidate {number}: {text[:40]}", ("cost", "a.json"), {"a.json": text}, codes=codes
        )
    small = {"depth": 8, "width": 0.125, "image": [1, 8, 8]}
    for name, recipe in {"lr": -5, "\x1b[2J": 1, "epochs": 10**9}.items():
        text = json.dumps(small | {"recipe": {name: recipe}})
        part = f"a.json: recipe {name}: ".replace("\x1b", "\\x1b")
        yield Case(f"candidate: recipe of {name}", ("train", "a.json"), {"a.json": text}, part)
    for name, content in {**SPECIAL, **JSON, "a huge depth": f'{{"depth": {HUGE}}}'}.items():
        yield Case(f"candidate: {name}", ("cost", "a.json"), {"a.json": content})
    yield Case("candidate: a long path", ("cost", "a" * 5000 + ".json"))
    yield Case("candidate: below a file", ("cost", "a.json/b.json"), {"a.json": "{}"})


# ---------------------------------------------------------------------------------- weights


def tensors(header: object, data: bytes = b"") -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


def entry(dtype: str, shape: list[Any], offsets: list[Any]) -> dict[str, Any]:
    return {"a": {"dtype": dtype, "shape": shape, "data_offsets": offsets}}


WEIGHTS: dict[str, Content] = {
    **{name: content for name, content in SPECIAL.items() if name != "UTF-16"},
    "a web page": b"<!doctype html><title>404</title>",
    "JSON": b'{"a": 1}',
    "a header beyond the file": struct.pack("<Q", 2**62) + b"{}",
    "a header of 17 MB": later(lambda: tensors(b"{" + b" " * (17 << 20) + b"}")),
    "no tensors": tensors({}),
    "a deep header": tensors(NESTED.encode()),
    "a huge number": tensors(b'{"a": {"dtype": "F32", "shape": [' + HUGE.encode() + b"]}}"),
    "an overflow": tensors(entry("F32", [2**40, 2**40], [0, 4]), bytes(4)),
    "an empty overflow": tensors(entry("F32", [0, 2**62, 2**62], [0, 0])),
    "offsets back": tensors(entry("F32", [1], [4, 0]), bytes(4)),
    "offsets beyond": tensors(entry("F32", [10**9], [0, 4 * 10**9]), bytes(4)),
    "an unknown type": tensors(entry("F99", [1], [0, 4]), bytes(4)),
    "8 bits": tensors(entry("F8_E4M3", [4], [0, 4]), bytes(4)),
    "metadata": tensors({"__metadata__": {"a": 1}}),
    "two at once": tensors({name: entry("U8", [4], [0, 4])["a"] for name in "ab"}, bytes(4)),
    "a tail": tensors(entry("F32", [1], [0, 4]), bytes(400)),
    "another network": tensors(entry("F32", [1], [0, 4]), bytes(4)),
    "controls": tensors({"\x1b[2J\n": entry("F32", [1], [0, 4])["a"]}, bytes(4)),
}  # fmt: skip


def weights_cases() -> Iterator[Case]:
    for name, content in WEIGHTS.items():
        command = ("export", "cifar-resnet20", "--weights", "a.pth")
        yield Case(f"weights: {name}", command, {"a.pth": content})
    yield Case("export: no images", ("export", "cifar10-resnet20"), part="of its images: --data")
    command = ("evaluate", "cifar-resnet20", "--data", "nothing", "--weights", "a.th")
    yield Case("evaluate: a web page", command, {"a.th": b"<html>"}, "web page")
    command = ("analyze", "{run}/trials/0", "--weights", "a.pth")
    yield Case("analyze: text", command, {"a.pth": b"no"}, "is text")


# --------------------------------------------------------------------------------- packed


def packed(graph: object, about: object = None, **changed: Any) -> bytes:
    numbers = changed.pop("numbers", np.zeros(0, np.float32))
    metadata = {"format": "ir2search-packed", "version": "3", **changed}
    text = graph if isinstance(graph, str) else json.dumps(graph)
    arrays = {"numbers": numbers, "bits": changed.pop("bits", np.zeros(0, np.uint8))}
    metadata |= {"graph": text, "about": json.dumps(about)}
    return save(arrays, {k: v for k, v in metadata.items() if isinstance(v, str)})


HEAD = [
    ["adaptive_pool", "", [1], [1, 1]],
    ["flatten", "", [2]],
    ["linear", "", [3], [2], [[2, 3], [2]]],
]
CANDIDATE = {"depth": 8, "width": 0.125, "image": [3, 8, 8]}


def network(first: list[Any], image: list[Any], about: object = None) -> bytes:
    graph = {"image": image, "nodes": [first, *HEAD]}
    return packed(graph, about or {"candidate": CANDIDATE}, numbers=np.ones(8, np.float32))


def chain(op: str, count: int) -> bytes:
    nodes: list[Any] = [[op, "", [n]] for n in range(count)]
    nodes += [[name, "", [each[0] + count - 1], *rest] for name, _, each, *rest in HEAD]
    graph = {"image": [3, 8, 8], "nodes": nodes}
    return packed(graph, {"candidate": CANDIDATE}, numbers=np.ones(8, np.float32))


PACKED: dict[str, Content] = {
    **SPECIAL,
    **{f"graph of {name}": packed(str(text)) for name, text in JSON.items()},
    "no graph": packed({}),
    "nodes of a text": packed({"image": [3, 8, 8], "nodes": "x"}),
    "no nodes": packed({"image": [3, 8, 8], "nodes": []}),
    "a huge image": packed({"image": [2**20] * 3, "nodes": []}),
    "a negative image": packed({"image": [3, -8, 8], "nodes": []}),
    "an image of huge numbers": packed(f'{{"image": [3, 8, {HUGE}], "nodes": []}}'),
    "a large image": network(["hardtanh", "", [0]], [3, 4096, 4096]),
    "another image": network(["hardtanh", "", [0]], [3, 16, 16]),
    "a later value": network(["hardtanh", "", [5]], [3, 8, 8]),
    "a value of true": network(["hardtanh", "", [True]], [3, 8, 8]),
    "an unknown operation": network(["\x1b[2J", "", [0]], [3, 8, 8]),
    "an operation of a list": network([[], "", [0]], [3, 8, 8]),
    "a huge window": network(["max_pool", "", [0], [2**20, 1, 0, 0]], [3, 8, 8]),
    "no stride": network(["subsample", "", [0], [0, 0, 3]], [3, 8, 8]),
    "a negative shape": network(["norm", "", [0], [], [[-3], [3]]], [3, 8, 8]),
    "a shape of floats": network(["norm", "", [0], [], [[3.0], [3]]], [3, 8, 8]),
    "a deep shape": network(["norm", "", [0], [], [[1] * 5000, [3]]], [3, 8, 8]),
    "many channels": network(["concat", "", [0] * 40_000], [64, 64, 64]),
    "too many reads": network(["concat", "", [0] * 60_000], [3, 8, 8]),
    "10,001 nodes": chain("hardtanh", 10_001),
    "20,000 signs": chain("sign", 20_000),
    "no candidate": network(["hardtanh", "", [0]], [3, 8, 8], [1]),
    "a candidate of a text": network(["hardtanh", "", [0]], [3, 8, 8], {"candidate": "x"}),
    "a damaged candidate": network(["hardtanh", "", [0]], [3, 8, 8], {"candidate": {"depth": 9}}),
    "another version": packed({}, version="99"),
    "numbers of NaN": packed({}, numbers=np.full(3, np.nan, np.float32)),
    "numbers of 64 bits": packed({}, numbers=np.zeros(3)),
    "safetensors": save({"a": np.zeros(3)}),
}


SPEC = {
    "data": "x", "image": [3, 8, 8], "mean": [0.5] * 3, "std": [0.2] * 3, "class_names": ["a", "b"]
}  # fmt: skip
SPECS: dict[str, tuple[object, str]] = {  # what a packed file says of its images, and the message
    "nothing": (None, "does not say the mean"),
    "a text": ("x", "images: "),
    "a list": ([SPEC], "images: "),
    "no deviation": (SPEC | {"std": [0.2, 0, 0.2]}, "images.std.1: must be above 0"),
    "a huge mean": (SPEC | {"mean": [10**400] * 3}, "more than 64 bits"),
    "one channel": (SPEC | {"mean": [0.5]}, "has 1 and 3"),
    "many classes": (SPEC | {"class_names": ["a"] * 100_000}, "not those of its network"),
    "nested names": (SPEC | {"class_names": [["a"], {}]}, "class_names.0"),
    "controls": (SPEC | {"class_names": ["\x1b[2J", "\n"]}, "b.png: cannot be read"),
}


def packed_cases() -> Iterator[Case]:
    for name, (spec, part) in SPECS.items():
        about = {"candidate": CANDIDATE, "images": spec}
        files = {"a.packed": network(["hardtanh", "", [0]], [3, 8, 8], about)}
        yield Case(f"packed images: {name}", ("predict", "a.packed", "b.png"), files, part)
    for name, content in PACKED.items():
        command = ("latency", "a.packed", "--runtimes", "runtime", "--seconds", "0.01")
        yield Case(f"packed: {name}", command, {"a.packed": content})
    command = ("latency", "a.packed", "--runtimes", "runtime", "--seconds", "0.01")
    yield Case("packed: 9,990 signs", command, {"a.packed": chain("sign", 9990)}, codes=(0, 2))


# ----------------------------------------------------------------------------------- data


def png(side: int = 8) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(np.full((side, side, 3), 90, np.uint8)).save(stream, "PNG")
    return stream.getvalue()


def png_chunk(kind: bytes, data: bytes) -> bytes:
    body = kind + data
    return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))


def png_of(width: int, height: int, *chunks: bytes) -> bytes:
    header = png_chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    pixels = png_chunk(b"IDAT", zlib.compress(bytes(1000)))
    return b"\x89PNG\r\n\x1a\n" + header + b"".join(chunks) + pixels + png_chunk(b"IEND", b"")


def encoded(format: str, mode: str = "RGB") -> bytes:  # noqa: A002
    stream = io.BytesIO()
    Image.new(mode, (8, 8)).save(stream, format)
    return stream.getvalue()


def bomb(kind: bytes) -> bytes:
    """A PNG with a small chunk that is large when it is decompressed."""
    return png_of(8, 8, png_chunk(kind, b"a\0\0" + zlib.compress(bytes(10_000_000))))


IMAGES: dict[str, Content] = {
    "nothing": b"",
    "text": b"no image",
    "a cut PNG": png()[:40],
    "900 million pixels": png_of(30_000, 30_000),
    "200 million pixels": png_of(16_000, 13_000),
    "4 billion columns": png_of(2**31 - 1, 1),
    "no columns": png_of(0, 8),
    "a compressed text of 10 MB": later(lambda: bomb(b"zTXt")),
    "a compressed profile": later(lambda: bomb(b"iCCP")),
    "EPS": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\nshowpage\n",
    "SVG": b"<svg xmlns='http://www.w3.org/2000/svg'/>",
    "PDF": b"%PDF-1.4\n",
    "ICO": encoded("ICO"),
    "a float TIFF": encoded("TIFF", "F"),
    "a cut TIFF": encoded("TIFF")[:20],
    "a TIFF of a loop": b"II*\0\x08\0\0\0\0\0\x08\0\0\0",
    "a cut JPEG": encoded("JPEG")[:300],
    "a cut WebP": encoded("WEBP")[:30],
    "a cut JPEG 2000": encoded("JPEG2000")[:60],
    "a PPM of 10^9 pixels": b"P6\n100000 10000\n255\n",
    "a PPM of a huge number": b"P6\n" + HUGE.encode() + b" 8\n255\n",
    "a BMP of 2 billion rows": b"BM"
    + bytes(12)
    + struct.pack("<IiiHHI", 40, 8, 2**31 - 1, 1, 24, 0)
    + bytes(20),
    "a large file": sparse(5 << 30),
    "a link to itself": lambda path: path.symlink_to(path.name),
}  # fmt: skip
GOOD: dict[str, Content] = {
    f"d/{split}/{label}/{n}.png": png() for split in ("train", "test") for label in "ab"
    for n in range(3)
}  # fmt: skip


def table(images: Any = None, labels: Any = None, **more: Any) -> bytes:
    columns: dict[str, Any] = {
        "img": [png()] * 4 if images is None else images,
        "label": [0, 1, 0, 1] if labels is None else labels,
    }
    metadata = more.pop("metadata", None)
    made = pa.table({**columns, **more})
    stream = io.BytesIO()
    pq.write_table(made.replace_schema_metadata(metadata), stream, compression="zstd")
    return stream.getvalue()


def hub(names: object) -> dict[str, str]:
    return {"huggingface": json.dumps({"info": {"features": {"label": {"names": names}}}})}


TABLES: dict[str, Content] = {
    **SPECIAL,
    "only the mark": b"PAR1PAR1",
    "a huge footer": b"PAR1" + struct.pack("<I", 2**31 - 1) + b"PAR1",
    "a cut footer": table()[:-30],
    "no rows": table([], pa.array([], pa.int64())),
    "labels of text": table(labels=["a", "b"] * 2),
    "labels of floats": table(labels=[0.5, 1.0] * 2),
    "missing labels": table(labels=[0, None, 1, 0]),
    "negative labels": table(labels=[-5, 0, 1, 0]),
    "labels of 63 bits": table(labels=[0, 2**63 - 1, 1, 0]),
    "labels of 64 bits": table(labels=pa.array([0, 2**64 - 1, 1, 0], pa.uint64())),
    "images of numbers": table([1, 2, 3, 4]),
    "images of paths": table(["/etc/passwd"] * 4),
    "missing images": table(pa.array([None] * 4, pa.binary())),
    "images of structs": table([{"x": 1}] * 4),
    "a repeated image": later(lambda: table([png() + bytes(10_000_000)] * 26, [0, 1] * 13)),
    "many empty images": later(
        lambda: table(pa.array([b""] * 1_000_000, pa.binary()), np.zeros(1_000_000, int))
    ),
    "a cell of zeros": later(lambda: table([bytes(257_000_000), *[png()] * 3])),
    "names of a text": table(metadata=hub("ab"), labels=[0, 5, 0, 5]),
    "names of lists": table(metadata=hub([[], {}]), labels=[0, 5, 0, 5]),
    "names with controls": table(metadata=hub(["\x1b[2J"]), labels=[0, 1, 0, 1]),
    "deep metadata": table(metadata={"huggingface": NESTED}, labels=[0, -7, 0, 1]),
    "no columns": table().replace(b"label", b"lbael").replace(b"img", b"igm"),
}  # fmt: skip


def many_rows() -> bytes:
    """A table of 1,000 rows, which its footer has as ``D0 0F``."""
    return table([png()] * 1000, [0, 1] * 500)


def declares_rows() -> bytes:
    """A small table whose only group of rows has 2^31 rows, as its footer says."""
    start, _, end = many_rows().rpartition(b"\x16\xd0\x0f")
    length = struct.unpack("<I", end[-8:-4])[0] + 3
    return start + b"\x16\x80\x80\x80\x80\x10" + end[:-8] + struct.pack("<I", length) + b"PAR1"


def declares_page(before: bytes) -> bytes:
    """A small table whose first page, a dictionary, has another number there: 2^30."""
    start, _, end = table().partition(before)
    return start + before + b"\x80\x80\x80\x80\x08" + end[1 if before[0] == 0x4C else 2 :]


STRUCTURES: dict[str, tuple[Callable[[], bytes], str]] = {  # and a part of the message
    "a group of 2^31 rows": (declares_rows, "do not have as many rows"),
    "a page of 2^30 bytes": (lambda: declares_page(b"\x15\x04\x15"), "bytes of a page"),
    "a dictionary of 2^30 values": (lambda: declares_page(b"\x4c\x15"), "values of a dictionary"),
}  # fmt: skip
FOLDERS: dict[str, dict[str, Content]] = {
    "only training images": {k: v for k, v in GOOD.items() if "test" not in k},
    "a class that is not trained": {**GOOD, "d/test/c/0.png": png()},
    "one image of a class": {**GOOD, "d/train/c/0.png": png(), "d/test/c/0.png": png()},
    "images of two sizes": {**GOOD, "d/train/a/1.png": png(9)},
    "a file for a folder": {"d": b""},
    "an empty folder": {"d": Path.mkdir},
    "batches cut": {"d/data_batch_1.bin": bytes(100), "d/test_batch.bin": bytes(100)},
    "batches of labels": {
        "d/data_batch_1.bin": b"\xff" * 3073 * 4, "d/test_batch.bin": b"\xff" * 3073 * 4
    },
    "batches of folders": {"d/data_batch_1.bin": Path.mkdir, "d/test_batch.bin": Path.mkdir},
    "a table without tabs": {**GOOD, "d/test/val_annotations.txt": b"no tabs\n" * 3},
    "a table of bytes": {**GOOD, "d/test/val_annotations.txt": b"\xff\t\xfe\n"},
}  # fmt: skip


def data_cases() -> Iterator[Case]:
    run = ("run", "a.toml", "--data", "d", "--device", "cpu")
    values = {"source": "folder", "validation": 0.5, "size": 8}
    for kind, more in (("data", {}), ("streamed", {"stream": True})):
        files: dict[str, Content] = {"a.toml": {"data": values | more, "trials": 1}}
        for name, content in IMAGES.items():
            yield Case(f"{kind} image: {name}", run, {**files, **GOOD, "d/train/a/1.png": content})
        for name, content in TABLES.items():
            tables = {"d/train.parquet": content, "d/test.parquet": table()}
            yield Case(f"{kind} table: {name}", run, {**files, **tables})
        for name, (make, part) in STRUCTURES.items():
            tables = {"d/train.parquet": later(make), "d/test.parquet": table()}
            yield Case(f"{kind} table: {name}", run, {**files, **tables}, part)
    files = {"a.toml": {"data": values | {"size": None}, "trials": 1}}
    for name, found in FOLDERS.items():
        yield Case(f"data folder: {name}", run, {**files, **found})
    doctor = ("doctor", "--data", "d")
    for name in ("900 million pixels", "a link to itself", "a large file"):
        own = {**GOOD, "d/train/a/1.png": IMAGES[name]}
        yield Case(f"doctor: {name}", doctor, own, codes=(0, 1))
    for name in ("a pipe", "a device", "a cut footer", "a large file", "labels of text"):
        own = {"d/train.parquet": TABLES[name], "d/test.parquet": table()}
        yield Case(f"doctor: table of {name}", doctor, own, codes=(0, 1))


# ------------------------------------------------------------------------- folders of runs


def run_cases(number: int) -> Iterator[Case]:
    """Cases with a copy of a finished run, whose trial ``number`` is trained."""
    trial, chosen = f"{{run}}/trials/{number}", ("--trial", str(number))
    commands: dict[str, tuple[str, ...]] = {
        "{run}/environment.json": ("report", "{run}"),
        f"{trial}/cost.json": ("report", "{run}"),
        f"{trial}/curve.jsonl": ("report", "{run}"),
        "{run}/study.toml": ("status", "{run}"),
        "{run}/storage.json": ("status", "{run}"),
        "{run}/study.journal": ("status", "{run}"),
        f"{trial}/test.json": ("status", "{run}"),
        f"{trial}/hits.json": ("status", "{run}"),
        f"{trial}/candidate.json": ("cost", trial),
    }
    for file, command in commands.items():
        for name, content in {**SPECIAL, **JSON}.items():
            # some files may be empty or missing
            title = f"{command[0]}: {Path(file).name} of {name}"
            yield Case(title, command, {file: content}, codes=(0, 2))
    for name in ("a pipe", "a device"):  # the time is then measured again
        files = {f"{trial}/latency.json": SPECIAL[name]}
        yield Case(
            f"export: latency.json of {name}", ("export", "{run}", *chosen), files, codes=(0,)
        )
    for name, content in WEIGHTS.items():
        files = {f"{trial}/best.safetensors": content}
        yield Case(f"export: best.safetensors of {name}", ("export", "{run}", *chosen), files)


# --------------------------------------------------------------------------------- options


# LONG is a long text; BIG and HUGE are numbers of 31 and 5,000 digits
OPTIONS = """
run digits --trials 0
run digits --trials HUGE
run digits --trials nan
run digits --workers BIG
run digits --device ''
run digits --device ,
run digits --device meta
run digits --device cuda:BIG
run digits --device '\x1b[2J'
run digits --trials-per-device BIG
run digits --runs LONG
run digits --data ''
run digits --storage ://
run digits --storage grpc://
run digits --storage grpc://h:99999999
run digits --storage ''
run digits --storage mysql://LONG
run LONG
run ''
run .
run digits --executor x
run /dev/zero
run digits extra
train cifar-resnet20 --seed -1
train cifar-resnet20 --seed BIG
train cifar-resnet20 --epochs 0
train cifar-resnet20 --epochs BIG
train cifar-resnet20 --recipe x
train cifar-resnet20 --out LONG
train '' --epochs 1
train cifar-resnet20 --device cuda:99
cost ''
cost .
cost /dev/zero
cost /
cost LONG
cost {run}/trials
presets x
studies --csv
latency cifar-resnet20 --threads 0
latency cifar-resnet20 --threads HUGE
latency cifar-resnet20 --threads 1,,2
latency cifar-resnet20 --threads BIG
latency cifar-resnet20 --batch BIG
latency cifar-resnet20 --batch -1
latency cifar-resnet20 --seconds nan
latency cifar-resnet20 --seconds inf
latency cifar-resnet20 --runtimes ''
latency cifar-resnet20 --runtimes ,
latency a.packed
latency ''
latency /dev/zero
analyze {run} --images BIG
analyze {run} --images -1
analyze {run} --memory 0
analyze {run} --memory -BIG
analyze {run} --layers ,
analyze {run} --layers LONG
analyze {run} --methods ,
analyze {run} --methods '\x1b[2J'
analyze {run} --trial BIG
analyze {run} --trial -1
analyze {run} --trial '\u0663'
analyze {run} --trial ''
analyze {run} --trial 1.5
analyze {run} --trial HUGE
analyze {run} --data nothing
analyze cifar-resnet20 --weights ''
export {run} --trial BIG
export {run} --format x
export {run} --trial 0 --out .
export {run} --trial 0 --out LONG
export cifar-resnet20 --weights .
export ''
export /dev/null
status ''
status /dev/zero
status LONG
status .
status {run} --storage x
status {run} --storage sqlite:///nothing.db
compare {run} nothing
compare {run} /dev/zero
compare {run} LONG
report {run}/study.toml
dashboard {run} --port 99999
dashboard {run} --host '\x1b[2J'
dashboard {run} --host 256.1.1.1
dashboard nothing
worker nothing
worker {run} --workers 0
worker {run} --storage x
trust nothing
trust /dev/zero
trust ''
init .
init LONG
init a.toml --data nothing
init '\u7814.toml'
init ''
evaluate x --weights a --data b
evaluate cifar-resnet20 --weights '' --data ''
evaluate LONG
evaluate /dev/zero
predict x LONG
predict /dev/zero a.png
predict LONG.packed a.png
'' x
ru
--x
run --trials
cost cifar-resnet20 --jsno
"""


def option_cases() -> Iterator[Case]:
    values = {"LONG": "x" * 5000, "BIG": str(10**30), "HUGE": HUGE}
    for line in OPTIONS.strip().splitlines():
        arguments = shlex.split(line)
        for word, value in values.items():
            arguments = [argument.replace(word, value) for argument in arguments]
        codes = (1, 2) if arguments[0] == "dashboard" else (2,)
        yield Case(f"options: {line}", tuple(arguments), codes=codes)


def all_cases(number: int) -> list[Case]:
    return [
        *study_cases(),
        *candidate_cases(),
        *weights_cases(),
        *packed_cases(),
        *data_cases(),
        *run_cases(number),
        *option_cases(),
    ]
