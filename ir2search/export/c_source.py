"""A network as C99: weights as constants, and the steps that `kernels/runtime` runs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from ir2search.export import c_text
from ir2search.export.device import DeviceMemory, program_memory, step_names
from ir2search.kernels.inference import Form, Operation
from ir2search.runtime.graph import Graph
from ir2search.runtime.image_spec import ImageSpec
from ir2search.runtime.lowering import MICROCONTROLLER
from ir2search.runtime.program import Program, make_program

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
#define IMAGE_PLACE {image} /* in the arena, in bytes */
#define LOGITS_PLACE {logits}

const char *const ir2_class_names[IR2_CLASSES] = {{
{names}
}};

/* Mean and standard deviation of the training images, where 1 is the byte 255. */
{mean}
{std}
{constants}
static const ir2_step STEPS[STEP_COUNT] = {{
{steps}
}};

static union {{
    float alignment;
    uint8_t bytes[IR2_ARENA_BYTES];
}} arena;

static void normalise(const uint8_t *pixels, float *numbers) {{
    int32_t pixel, channel;
    for (pixel = 0; pixel < IR2_HEIGHT * IR2_WIDTH; ++pixel)
        for (channel = 0; channel < IR2_CHANNELS; ++channel)
            *numbers++ = ((float)*pixels++ / 255.0f - MEAN[channel]) / STD[channel];
}}

int ir2_classify(const uint8_t *pixels) {{
    const float *logits = ir2_logits();
    int i, best = 0;
    normalise(pixels, (float *)(void *)(arena.bytes + IMAGE_PLACE));
    ir2_run(STEPS, STEP_COUNT, arena.bytes);
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
    """
    program = make_program(graph, MICROCONTROLLER)
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
        steps=",\n".join(_steps(program, labels)),
        count=len(program.steps),
        image=program.image,
        logits=program.logits,
    )
    return CNetwork(header, source, program_memory(graph, program))


def _constants(program: Program, labels: Sequence[str]) -> Iterator[str]:
    for index, (step, label) in enumerate(zip(program.steps, labels, strict=True)):
        if step.arrays:
            yield f"/* step {index}, {c_text.comment(label)} */"
        for role, values in step.arrays.items():
            yield c_text.array(_array_name(index, label, role), values)


def _array_name(index: int, label: str, role: str) -> str:
    return f"step{index}_{c_text.identifier(label)}_{role}"


def _steps(program: Program, labels: Sequence[str]) -> Iterator[str]:
    for index, (step, label) in enumerate(zip(program.steps, labels, strict=True)):
        places = program.places[index]
        fields = {"operation": f"IR2_{Operation(step.operation).name}", "form": _form(step.form)}
        fields |= {name: str(value) for name, value in {**step.numbers, **places}.items()}
        fields |= {role: _array_name(index, label, role) for role in step.arrays}
        lines = c_text.joined(
            (f".{name} = {value}" for name, value in fields.items()), 2 * c_text.INDENT
        )
        yield f"    {{ /* step {index}, {c_text.comment(label)} */\n{lines}\n    }}"


def _form(form: Form) -> str:
    return " | ".join(f"IR2_{flag.name}" for flag in Form if flag & form) or "0"
