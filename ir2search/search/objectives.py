"""What a study may optimise: the accuracy, and every cost known before training."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

CostName = Literal["ops", "flops", "bops", "memory"]
ObjectiveName = Literal["accuracy", "ops", "flops", "bops", "memory"]


@dataclass(frozen=True)
class Objective:
    """One objective: its column in tables, its direction, and how people read it."""

    column: str
    direction: Literal["maximize", "minimize"]
    label: str


OBJECTIVES: dict[str, Objective] = {
    "accuracy": Objective("accuracy", "maximize", "validation accuracy"),
    "ops": Objective("ops", "minimize", "OPs"),
    "flops": Objective("flops", "minimize", "FLOPs"),
    "bops": Objective("bops", "minimize", "BOPs"),
    "memory": Objective("memory_bytes", "minimize", "memory (bytes)"),
}
