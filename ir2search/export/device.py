"""Flash and RAM of a network as C on a microcontroller."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from ir2search.export.describe import candidate_graph
from ir2search.kernels.inference import Step as CStep
from ir2search.runtime import Graph, make_schedule
from ir2search.runtime.lowering import MICROCONTROLLER, Step
from ir2search.runtime.program import Program, make_program
from ir2search.space import Candidate

POINTER = 4  # bytes of a pointer and of a number in ``ir2_step`` on a processor of 32 bits
# of the functions at -Os on a Cortex-M; tests/export/test_boards.py measures it
CODE_BYTES = 2900


@dataclass(frozen=True)
class StepMemory:
    """A step of the exported program.

    Attributes:
        name: the layer that it begins with.
        ram_bytes: bytes of the static memory that are in use while it runs.
        flash_bytes: bytes of its constants.
    """

    name: str
    ram_bytes: int
    flash_bytes: int


@dataclass(frozen=True)
class DeviceMemory:
    """What a network takes on a microcontroller as `ir2search export --format c` writes it.

    Attributes:
        ram_bytes: static memory of the activations; the stack, less than 1 kB, comes on top.
        flash_bytes: constants and code. Functions for floats, on processors without a unit for
            them, come on top.
        steps: the same by step, without the code.
    """

    ram_bytes: int
    flash_bytes: int
    steps: tuple[StepMemory, ...]

    @property
    def constant_bytes(self) -> int:
        """Bytes of all constants."""
        return self.flash_bytes - CODE_BYTES

    def as_dict(self) -> dict[str, Any]:
        """All fields as values for JSON."""
        return asdict(self)


def device_memory(candidate: Candidate) -> DeviceMemory:
    """Flash and RAM of a candidate on a microcontroller; kept for the next call.

    Raises:
        CandidateError: a layer cannot be exported.
        WeightsError: the network is too large for the runtime.
    """
    return _of_network(replace(candidate.without_recipe(), threshold=0.0))


@functools.lru_cache(maxsize=4096)
def _of_network(candidate: Candidate) -> DeviceMemory:
    graph = candidate_graph(candidate)
    return program_memory(graph, make_program(graph, MICROCONTROLLER))


def program_memory(graph: Graph, program: Program) -> DeviceMemory:
    """Flash and RAM of a program for a microcontroller."""
    flash = list(map(_constant_bytes, program.steps))
    moments = 2 * 4 * graph.image[2]  # mean and standard deviation
    steps = map(StepMemory, step_names(graph, program), program.live_bytes(), flash)
    return DeviceMemory(program.arena, sum(flash) + moments + CODE_BYTES, tuple(steps))


def step_names(graph: Graph, program: Program) -> Sequence[str]:
    """The layer that each step begins with."""
    units = make_schedule(graph)
    return [units[index].name for index in program.units]


def _constant_bytes(step: Step) -> int:
    return sum(array.nbytes for array in step.arrays.values()) + POINTER * len(CStep._fields_)
