"""A network as C99: weights as constants, and the steps that `kernels/runtime` runs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ir2search.errors import WeightsError
from ir2search.export import c_text
from ir2search.export.device import DeviceMemory, program_memory, row_tables, step_names
from ir2search.kernels.inference import Form, Operation
from ir2search.runtime.graph import Graph
from ir2search.runtime.image_spec import ImageSpec
from ir2search.runtime.lowering import MICROCONTROLLER
from ir2search.runtime.program import Place, Program, make_program

MOST_ROWS = 2**16 - 1  # of a map: rows are numbers of 16 bits
MOST_BYTES = 2**31 - 1  # of the arena: places are numbers of 32 bits

_HEADER = """\
/* {title}: a 1-bit network that tells {classes} classes apart. Written by ir2search. */

#ifndef IR2_NETWORK_H
#define IR2_NETWORK_H

#include <stdint.h>

#define IR2_HEIGHT {height}
#define IR2_WIDTH {width}
#define IR2_CHANNELS {channels}
#define IR2_CLASSES {classes}
#define IR2_ARENA_BYTES {arena} /* of static memory; the stack comes on top */

#ifdef __cplusplus
extern "C" {{
#endif

/* Names of the classes, in UTF-8. */
extern const char *const ir2_class_names[IR2_CLASSES];

/* Classify an image; not from two threads or interrupts at the same time.

   pixels: IR2_HEIGHT rows of IR2_WIDTH pixels of IR2_CHANNELS bytes{order}. They are normalised
   inside.

   Returns the class, from 0 to IR2_CLASSES - 1. */
int ir2_classify(const uint8_t *pixels);

/* The IR2_CLASSES logits of the last image; they are overwritten by the next one. */
const float *ir2_logits(void);

#ifdef __cplusplus
}}
#endif

#endif
"""

_SOURCE = """\
/* {title}. Written by ir2search. */

#include "network.h"

#include "ir2_runtime.h"

#define STEP_COUNT {count}
#define ORDER_COUNT {order_count}
#define LOGITS_PLACE {logits} /* in the arena, in bytes */

const char *const ir2_class_names[IR2_CLASSES] = {{
{names}
}};

/* Mean and standard deviation of the training images, where 1 is the byte 255. */
{mean}
{std}
{constants}
{tables}static const ir2_step STEPS[STEP_COUNT] = {{
{steps}
}};

/* Step, first row, and the row after the last one. */
static const ir2_rows ORDER[ORDER_COUNT] = {{
{order}
}};

static union {{
    float alignment;
    uint8_t bytes[IR2_ARENA_BYTES];
}} arena;

int ir2_classify(const uint8_t *pixels) {{
    const float *logits = ir2_logits();
    int i, best = 0;
    ir2_run(STEPS, ORDER, ORDER_COUNT, arena.bytes, pixels);
    for (i = 1; i < IR2_CLASSES; ++i)
        if (logits[i] > logits[best])
            best = i;
    return best;
}}

const float *ir2_logits(void) {{
    return (const float *)(const void *)(arena.bytes + LOGITS_PLACE);
}}
"""


@dataclass(frozen=True)
class CNetwork:
    """A network as C99 for a microcontroller.

    Attributes:
        header: the text of ``network.h``.
        source: the text of ``network.c``.
        memory: flash and RAM.
    """

    header: str
    source: str
    memory: DeviceMemory


def c_network(graph: Graph, spec: ImageSpec, title: str) -> CNetwork:
    """Write a network as C99.

    Args:
        graph: the network.
        spec: its images and classes.
        title: the first words of the files.

    Raises:
        WeightsError: the network is too large for the numbers of the C files.
    """
    program = make_program(graph, MICROCONTROLLER)
    check_size(program)
    labels = step_names(graph, program)
    height, width, channels = graph.image
    header = _HEADER.format(
        title=c_text.comment(title),
        height=height,
        width=width,
        channels=channels,
        classes=graph.classes,
        arena=program.arena,
        order=": red, green, blue" if channels == 3 else "",
    )
    source = _SOURCE.format(
        title=c_text.comment(title),
        names=",\n".join(c_text.INDENT + c_text.string(name) for name in spec.class_names),
        mean=c_text.array("MEAN", np.array(spec.mean, np.float32)),
        std=c_text.array("STD", np.array(spec.std, np.float32)),
        constants="\n".join(_constants(program, labels)),
        tables="".join(_tables(program)),
        steps=",\n".join(_steps(program, labels)),
        order=c_text.joined(
            f"{{{each.step}, {each.first}, {each.last}}}" for each in program.order
        ),
        count=len(program.steps),
        order_count=len(program.order),
        logits=program.logits,
    )
    return CNetwork(header, source, program_memory(graph, program))


def check_size(program: Program) -> None:
    """Check that a program fits the numbers of ``ir2_rows`` and ``ir2_map``.

    Raises:
        WeightsError: it does not.
    """
    rows = max(each.last for each in program.order)
    if rows > MOST_ROWS or program.arena > MOST_BYTES:
        raise WeightsError(
            f"too large for the C runtime: a map has {rows:,} rows (at most {MOST_ROWS:,}), and "
            f"the activations take {program.arena:,} bytes (at most {MOST_BYTES:,})"
        )


def _constants(program: Program, labels: Sequence[str]) -> Iterator[str]:
    for index, (step, label) in enumerate(zip(program.steps, labels, strict=True)):
        if step.arrays:
            yield f"/* step {index}, {c_text.comment(label)} */"
        for role, values in step.arrays.items():
            yield c_text.array(_array_name(index, label, role), values)


def _array_name(index: int, label: str, role: str) -> str:
    return f"step{index}_{c_text.identifier(label)}_{role}"


def _tables(program: Program) -> Iterator[str]:
    """The places of the rows of maps."""
    tables = row_tables(program)
    if tables:
        yield "/* Places of the rows of maps, in the arena. */\n"
    for number, rows in enumerate(tables):
        yield c_text.array(f"ROWS_{number}", np.array(rows, np.int32))


def _steps(program: Program, labels: Sequence[str]) -> Iterator[str]:
    tables = {rows: number for number, rows in enumerate(row_tables(program))}
    for index, (step, label) in enumerate(zip(program.steps, labels, strict=True)):
        fields = {"operation": f"IR2_{Operation(step.operation).name}", "form": _form(step.form)}
        fields |= {name: str(value) for name, value in step.numbers.items()}
        fields |= {
            role: str(place.first) if role == "scratch" else _map(place, tables)
            for role, place in program.places[index].items()
        }
        fields |= {role: _array_name(index, label, role) for role in step.arrays}
        if step.operation == Operation.PIXELS:
            fields |= {"shift": "MEAN", "scale": "STD"}
        lines = c_text.joined(
            (f".{name} = {value}" for name, value in fields.items()), 2 * c_text.INDENT
        )
        yield f"    {{ /* step {index}, {c_text.comment(label)} */\n{lines}\n    }}"


def _map(place: Place, tables: Mapping[tuple[int, ...], int]) -> str:
    return f"{{{place.first}, 0}}" if place.rows is None else f"{{0, ROWS_{tables[place.rows]}}}"


def _form(form: Form) -> str:
    return " | ".join(f"IR2_{flag.name}" for flag in Form if flag & form) or "0"
