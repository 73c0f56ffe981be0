"""Flash and RAM of a network as C on a microcontroller."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from ir2search.export.describe import candidate_graph
from ir2search.kernels.inference import ARRAYS, MAPS, NUMBERS
from ir2search.runtime import Graph, make_schedule
from ir2search.runtime.lowering import MICROCONTROLLER, Step
from ir2search.runtime.program import NO_UNIT, Program, make_program
from ir2search.space import Candidate

POINTER = 4  # bytes of a pointer and of a number in ``ir2_step`` on a processor of 32 bits
ROWS = 6  # bytes of ``ir2_rows``
# of the functions at -Os on a Cortex-M; tests/export/test_boards.py measures it
CODE_BYTES = 3200


@dataclass(frozen=True)
class StepMemory:
    """A step of the exported program.

    Attributes:
        name: the layer that it begins with.
        ram_bytes: the most bytes of the static memory that are in use while it runs.
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
        steps: the same by step, without the code and the order of rows.
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
        CandidateError: a layer cannot be exported, or the network is too large for the runtime.
    """
    return _of_network(replace(candidate.without_recipe(), threshold=0.0))


@functools.lru_cache(maxsize=4096)
def _of_network(candidate: Candidate) -> DeviceMemory:
    graph = candidate_graph(candidate)
    return program_memory(graph, make_program(graph, MICROCONTROLLER))


def program_memory(graph: Graph, program: Program) -> DeviceMemory:
    """Flash and RAM of a program for a microcontroller."""
    flash = list(map(_constant_bytes, program.steps))
    flash[0] += 2 * 4 * graph.image[2]  # mean and standard deviation
    steps = map(StepMemory, step_names(graph, program), program.live_bytes_by_step(), flash)
    order = ROWS * len(program.order) + POINTER * sum(map(len, row_tables(program)))
    return DeviceMemory(program.arena, sum(flash) + order + CODE_BYTES, tuple(steps))


def row_tables(program: Program) -> list[tuple[int, ...]]:
    """The places of rows of all maps whose rows do not follow each other, each once."""
    found = (place.rows for places in program.places for place in places.values())
    return list(dict.fromkeys(rows for rows in found if rows is not None))


def step_names(graph: Graph, program: Program) -> Sequence[str]:
    """The layer that each step begins with."""
    units = make_schedule(graph)
    return ["pixels" if index == NO_UNIT else units[index].name for index in program.units]


def _constant_bytes(step: Step) -> int:
    words = len(NUMBERS) + 2 * len(MAPS) + 1 + len(ARRAYS)  # a map is a place and a pointer
    return sum(array.nbytes for array in step.arrays.values()) + POINTER * words
