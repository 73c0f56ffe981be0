"""A page of one file, which classifies images in a browser: a network, the runtime, a script."""

from __future__ import annotations

import base64
import html
import math
from dataclasses import asdict, dataclass
from pathlib import Path
from string import Template

import numpy as np
from numpy.typing import NDArray

from ir2search import text
from ir2search.errors import InputError
from ir2search.escape import xml
from ir2search.export.c_source import check_size
from ir2search.export.card import Origin
from ir2search.export.device import row_tables
from ir2search.files import write_text
from ir2search.kernels import web
from ir2search.kernels.inference import ARRAYS, MAPS, NUMBERS, Operation
from ir2search.pages import content_hash, embedded_json
from ir2search.runtime.graph import Array, Graph
from ir2search.runtime.image_spec import ImageSpec
from ir2search.runtime.lowering import MICROCONTROLLER
from ir2search.runtime.program import Place, Program, make_program
from ir2search.zoo.shipped import INCLUDED

TEMPLATES = Path(__file__).with_name("web")
DIGITS = tuple("0123456789")
INCLUDED_SIDE = 8  # pixels of the included digits before they are enlarged
STROKES = 1.85  # length of all strokes of a digit, in multiples of its longer side
ALIGNMENT = 16  # bytes
PAGE_BYTES = 2**16  # of WebAssembly's memory

_RESIZING = {
    "whole": "It is resized to the network's size as <code>ir2search predict</code> does; values "
    "can differ by 1 of 255, or by more if the browser decodes the file to other colours.",
    "centre": "The central square with 224/256 of its shorter side is resized to the network's "
    "size. <code>ir2search predict</code> first halves large images, so its values differ a "
    "little.",
}


@dataclass(frozen=True)
class Drawing:
    """How a drawn digit becomes an image like those that the network was trained on.

    Attributes:
        side: pixels of the square that it is drawn in, before that is resized.
        extent: the longer side of a digit, as a share of the square's side.
        pen: the width of a stroke, as a share of the square's side.
        dark: whether digits are dark on a light ground.
    """

    side: int
    extent: float
    pen: float
    dark: bool


def drawing(images: NDArray[np.uint8], spec: ImageSpec) -> Drawing | None:
    """How to draw digits for a network; None if its images are not digits in grey.

    Args:
        images: some of its images, (N, C, H, W).
        spec: its images and classes.
    """
    grey = images[:, 0]
    if spec.class_names != DIGITS or (images != grey[:, None]).any() or not grey.any():
        return None
    dark = bool(np.median(grey) > 127)
    ink = 255 - grey if dark else grey
    spans = [_span(np.asarray((ink > 127).any(axis=axis))) for axis in (1, 2)]
    extent = float(np.maximum(*spans).mean())
    pen = float(ink.mean()) / 255 / (STROKES * extent)
    side = INCLUDED_SIDE if spec.data == INCLUDED else min(spec.image[1:])
    return Drawing(side, round(extent, 3), round(pen, 3), dark)


def _span(ink: NDArray[np.bool_]) -> NDArray[np.float64]:
    """From the first ink to the last one in each row, as a share of its length."""
    length = ink.shape[1]
    return (length - ink.argmax(axis=1) - ink[:, ::-1].argmax(axis=1)) / length


def write_web_page(
    file: Path, graph: Graph, spec: ImageSpec, origin: Origin, images: NDArray[np.uint8]
) -> None:
    """Write a page that classifies images with a network.

    Args:
        file: path to write.
        graph: the network.
        spec: its images and classes.
        origin: where the network comes from.
        images: some images like those of its training, (N, C, H, W).

    Raises:
        InputError: its images have neither one nor three channels.
        WeightsError: the network is too large.
        MissingCompilerError: see `kernels.web.module`.
    """
    channels, height, width = spec.image
    if channels not in (1, 3):
        raise InputError(
            f"the network takes images of {channels} channels, but browsers show 1 or 3; choose "
            "another format"
        )
    program, module = make_program(graph, MICROCONTROLLER), web.module()
    check_size(program)
    memory, places = memory_image(program, spec)
    drawn = drawing(images, spec)
    view = {
        "image": spec.image,
        "crop": spec.crop,
        "classes": list(map(xml, spec.class_names)),
        "drawing": None if drawn is None else asdict(drawn),
        "program": places,
    }
    shown = {
        "title": origin.title,
        "about": _about(spec, origin),
        "size": f"{width} x {height} pixels",
    }
    style, script = (_template(name) for name in ("page.css", "page.js"))
    page = Template(_template("page.html")).substitute(
        {name: html.escape(xml(value)) for name, value in shown.items()},
        resizing=_RESIZING[spec.crop],
        facts=_facts(program, len(memory), len(module)),
        policy=_policy(style, script),
        style=style,
        script=script,
        network=embedded_json(view),
        program=base64.b64encode(memory).decode(),
        runtime=base64.b64encode(module).decode(),
    )
    write_text(file, page)


def memory_image(program: Program, spec: ImageSpec) -> tuple[bytes, dict[str, int]]:
    """A program and its constants as the module reads them.

    Args:
        program: for a microcontroller.
        spec: its images.

    Returns:
        The bytes that lie in the module's memory from `web.FIRST_BYTE` on, and where they and what
        follows them lie: ``base``, ``steps``, ``order``, ``arena``, ``logits`` and ``pixels`` in
        bytes, the ``count`` of the order, and the ``pages`` of memory.
    """
    data = bytearray()

    def add(values: Array) -> int:
        """Append an array; returns its place in memory."""
        start = web.FIRST_BYTE + len(data)
        data.extend(values.tobytes())
        data.extend(bytes(-len(data) % ALIGNMENT))
        return start

    moments = {"shift": np.array(spec.mean, np.float32), "scale": np.array(spec.std, np.float32)}
    tables = {rows: add(np.array(rows, np.int32)) for rows in row_tables(program)}
    words = []
    for step, places in zip(program.steps, program.places, strict=True):
        numbers = {"operation": step.operation, "form": step.form, **step.numbers}
        arrays = moments if step.operation == Operation.PIXELS else step.arrays
        maps = [places.get(name, Place(0)) for name in MAPS]
        words += [numbers.get(name, 0) for name in NUMBERS]
        for each in maps:
            words += [each.first, 0] if each.rows is None else [0, tables[each.rows]]
        words += [places["scratch"].first if "scratch" in places else 0]
        words += [add(arrays[name]) if name in arrays else 0 for name in ARRAYS]
    order = [(each.step, each.first, each.last) for each in program.order]
    found = {
        "base": web.FIRST_BYTE,
        "steps": add(np.array(words, np.uint32)),  # all fields have 32 bits there
        "order": add(np.array(order, np.uint16)),
        "count": len(order),
    }
    arena = web.FIRST_BYTE + len(data)
    pixels = arena + program.arena
    found |= {"arena": arena, "logits": arena + program.logits, "pixels": pixels}
    return bytes(data), found | {"pages": -(-(pixels + math.prod(spec.image)) // PAGE_BYTES)}


def _about(spec: ImageSpec, origin: Origin) -> str:
    channels, height, width = spec.image
    colours = "colour" if channels == 3 else "grey"
    sentence = (
        f"A binary (1-bit) neural network that tells {len(spec.class_names)} classes apart. It was "
        f"trained on {spec.data}: {colours} images of {width} x {height} pixels."
    )
    if origin.test:
        mean = sum(origin.test) / len(origin.test)
        sentence += f" It is right on {text.percent(mean)} of the test images."
    return sentence


def _facts(program: Program, constants: int, module: int) -> str:
    rows = {
        "Size": f"{text.size(constants)} for the network, {text.size(module)} for its runtime",
        "Memory": f"{text.size(program.arena)} for the feature maps of an image",
    }
    return "\n".join(f"<dt>{name}</dt><dd>{value}</dd>" for name, value in rows.items())


def _policy(style: str, script: str) -> str:
    """A content security policy that allows this style, this script and WebAssembly alone."""
    return (
        f"default-src 'none'; script-src {content_hash(script)} 'wasm-unsafe-eval'; "
        f"style-src {content_hash(style)}; base-uri 'none'; form-action 'none'"
    )


def _template(name: str) -> str:
    return (TEMPLATES / name).read_text(encoding="utf-8")
