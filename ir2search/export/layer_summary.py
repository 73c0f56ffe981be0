"""A network layer by layer: shapes, costs, and memory on a microcontroller."""

from __future__ import annotations

import functools
from collections.abc import Container, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd
import torch
from torch import Tensor, nn

from ir2search import text
from ir2search.costs import cost
from ir2search.costs.count import BOPS_PER_OP
from ir2search.errors import CandidateError
from ir2search.export.device import DeviceMemory, device_memory
from ir2search.notebook import html_table
from ir2search.space import Candidate, build

COUNTS = ("parameters", "flops", "bops", "ops")
HEADS = (
    "layer", "type", "shape", "parameters", "bits", "FLOPs", "BOPs", "OPs", "memory", "RAM",
)  # fmt: skip


@dataclass(frozen=True, repr=False)
class Summary:
    """A network layer by layer; a notebook shows it as a table, and ``print`` as text.

    Attributes:
        name: of the network.
        layers: a row for each layer: ``layer``; ``type``; ``shape`` of its output for one image,
            None if it is part of another layer's step; ``parameters``; ``bits`` of a weight, 1 or
            32, or 0 without weights; ``flops``, ``bops`` and ``ops`` as in `ir2search.Cost`;
            ``memory_bytes``; and ``ram_bytes``, the most memory in use on a microcontroller while
            the layer's steps run. Steps before them that belong to no layer, such as shortcuts,
            count too. Missing if no step of the runtime begins with this layer.
        total: the sums, and the largest ``ram_bytes``; None if the network cannot be exported.
    """

    name: str
    layers: pd.DataFrame
    total: dict[str, Any]

    def __repr__(self) -> str:
        table = pd.DataFrame(self._rows(), columns=list(HEADS))
        return f"{self.name}\n{table.to_string(index=False)}"

    def _repr_html_(self) -> str:
        return html_table(self.name, HEADS, self._rows())

    def _rows(self) -> list[Sequence[str]]:
        total = {"layer": "total", "type": "", "shape": None, "bits": 0, **self.total}
        rows: list[dict[Any, Any]] = [*self.layers.to_dict("records"), total]
        return [_shown(row) for row in rows]


def summary(candidate: Candidate) -> Summary:
    """Show a network layer by layer, without training it, as ``larq.models.summary`` does.

    RAM is that of the program that `ir2search export --format c` writes.

    Raises:
        CountError: the network runs an operation that cannot be counted.
        MemoryError: the network does not fit in memory.
    """
    counted, memory, shapes = cost(candidate), _memory(candidate), _shapes(candidate)
    ram = {} if memory is None else _ram(memory, {row.name for row in counted.rows})
    rows = [
        {
            "layer": row.name,
            "type": row.type,
            "shape": shapes.get(row.name),
            "parameters": row.parameters,
            "bits": (1 if row.binary_parameters else 32) if row.parameters else 0,
            "flops": row.flops,
            "bops": row.bops,
            "ops": row.flops + row.bops / BOPS_PER_OP,
            "memory_bytes": row.memory_bytes,
            "ram_bytes": ram.get(row.name),
        }
        for row in counted.rows
        if row.parameters or row.flops or row.bops or row.name in ram
    ]
    total = {name: getattr(counted, name) for name in (*COUNTS, "memory_bytes")}
    total["ram_bytes"] = None if memory is None else memory.ram_bytes
    return Summary(
        f"network {candidate.id}", pd.DataFrame(rows).astype({"ram_bytes": "Int64"}), total
    )


def _memory(candidate: Candidate) -> DeviceMemory | None:
    try:
        return device_memory(candidate)
    except CandidateError:
        return None


def _ram(memory: DeviceMemory, layers: Container[str]) -> dict[str, int]:
    """The most bytes in use at a layer's steps and at those before them that are of no layer."""
    found: dict[str, int] = {}
    waiting = 0
    for step in memory.steps:
        waiting = max(waiting, step.ram_bytes)
        if step.name in layers:
            found[step.name] = max(found.get(step.name, 0), waiting)
            waiting = 0
    return found


def _shapes(candidate: Candidate) -> dict[str, tuple[int, ...]]:
    """Shapes of the outputs of modules for one image, by name, without the batch."""
    network, found = build(candidate).eval(), dict[str, tuple[int, ...]]()

    def note(name: str, module: nn.Module, given: object, output: object) -> None:
        if isinstance(output, Tensor):
            found[name] = tuple(output.shape[1:])

    hooks = [
        module.register_forward_hook(functools.partial(note, name))
        for name, module in network.named_modules()
    ]
    with torch.no_grad():
        network(torch.zeros(1, *candidate.image))
    for hook in hooks:
        hook.remove()
    return found


def _shown(row: dict[Any, Any]) -> Sequence[str]:
    shape = "" if row["shape"] is None else " x ".join(map(str, row["shape"]))
    counts = [f"{round(row[name]):,}" if row[name] else "" for name in COUNTS]
    counts.insert(1, str(row["bits"]) if row["bits"] else "")
    ram = "" if pd.isna(row["ram_bytes"]) else text.size(float(row["ram_bytes"]))
    memory = [text.size(row["memory_bytes"]), ram]
    return [row["layer"], row["type"], shape, *counts, *memory]
