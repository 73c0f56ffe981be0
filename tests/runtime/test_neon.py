"""The vectors of 64-bit ARM on an emulator, against those of this processor."""

from __future__ import annotations

import platform
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

import ir2search as ir
from ir2search.export import candidate_graph
from ir2search.kernels import inference
from ir2search.kernels.build import RUNTIME
from ir2search.runtime import PackedNetwork
from ir2search.runtime.program import Program

COMPILER, EMULATOR = "aarch64-linux-gnu-gcc", "qemu-aarch64"
FLAGS = ("-O2", "-std=gnu11", "-ffp-contract=off", "-static", "-DIR2_BLOCKS")
NETWORKS = {
    "recovery": ir.Candidate(depth=8, width=0.6, image=(3, 9, 8), activation="rprelu"),
    "vgg": ir.Candidate(
        backbone="cifar-vgg", depth=7, image=(3, 16, 16), width=0.1, taps=(), fusion="none"
    ),
    "binary activations": ir.Candidate(depth=8, weights="real", image=(3, 8, 8)),
}
MAIN = """
#include <stdio.h>
#include <string.h>
static uint8_t arena[{arena}] __attribute__((aligned(64)));
static uint8_t scratch[{scratch}] __attribute__((aligned(64)));
int main(void) {{
    memcpy(arena + {image}, image, sizeof image);
    for (int i = 0; i < {count}; ++i)
        ir2_run_rows(&steps[i], arena, 1, scratch, 0, (size_t)steps[i].rows);
    for (int i = 0; i < {classes}; ++i)
        printf("%a\\n", ((const float *)(const void *)(arena + {logits}))[i]);
    return 0;
}}
"""
TYPES = {"f4": "float", "u4": "uint32_t", "i4": "int32_t", "u1": "uint8_t"}


def array_in_c(name: str, array: np.ndarray) -> str:
    kind = TYPES[array.dtype.str[1:]]
    values = (float(x).hex() if kind == "float" else str(int(x)) for x in array.ravel())
    return f"static const {kind} {name}[] __attribute__((aligned(64))) = {{{', '.join(values)}}};"


def program_in_c(program: Program, image: np.ndarray, classes: int) -> str:
    lines, steps = ['#include "ir2_runtime.h"', array_in_c("image", image)], []
    for index, (step, places) in enumerate(zip(program.steps, program.places, strict=True)):
        fields = {"operation": int(step.operation), "form": int(step.form)}
        fields |= {**step.numbers, **{role: f"{{{at.first}}}" for role, at in places.items()}}
        parts = [f".{name} = {value}" for name, value in fields.items()]
        for name, array in step.arrays.items():
            lines.append(array_in_c(f"{name}{index}", array))
            parts.append(f".{name} = {name}{index}")
        steps.append("{" + ", ".join(parts) + "}")
    lines.append("static const ir2_step steps[] = {" + ",\n".join(steps) + "};")
    more = MAIN.format(
        arena=program.arena + 64, scratch=program.scratch + 64, image=program.image,
        logits=program.logits, count=len(steps), classes=classes,
    )  # fmt: skip
    return "\n".join(lines) + more


@pytest.mark.parametrize("name", NETWORKS)
def test_logits_on_an_emulated_arm_are_those_of_this_processor(name: str, tmp_path: Path) -> None:
    """Both multiply and add with one rounding, in the same order."""
    if shutil.which(COMPILER) is None or shutil.which(EMULATOR) is None:
        pytest.skip(f"{COMPILER} or {EMULATOR} is not installed")
    fastest = inference.variants()[0]
    if platform.machine() != "x86_64" or fastest.lanes != 16:
        pytest.skip("this processor has no vectors of the same kind")
    candidate = NETWORKS[name]
    network = PackedNetwork(candidate_graph(candidate))
    image = np.random.default_rng(0).standard_normal((1, *candidate.image), dtype=np.float32)
    wanted = network.logits(image)[0]
    source = tmp_path / "main.c"
    source.write_text(program_in_c(network.program, image[0].transpose(1, 2, 0), len(wanted)))
    sources = [source, RUNTIME.folder / "ir2_runtime.c"]
    command = [COMPILER, *FLAGS, "-I", RUNTIME.folder, "-o", tmp_path / "main", *sources]
    subprocess.run(command, check=True)
    done = subprocess.run([EMULATOR, tmp_path / "main"], capture_output=True, text=True, check=True)
    found = [float.fromhex(line) for line in done.stdout.split()]
    np.testing.assert_array_equal(np.array(found, np.float32), wanted)
