"""What a study may optimise: the accuracy, and costs that are known before training."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Container, Iterable, Mapping
from dataclasses import dataclass, field
from numbers import Real
from typing import TYPE_CHECKING, Any, Literal

from ir2search import text
from ir2search.errors import StudyError
from ir2search.registry import Registry, user_code
from ir2search.space import Candidate

if TYPE_CHECKING:
    from ir2search.costs import Cost


CostFunction = Callable[[Candidate], float]


@dataclass(frozen=True)
class Objective:
    """One objective: its column in tables, its direction, and how its values are shown.

    Attributes:
        column: its column in the table of trials.
        direction: as Optuna names it.
        label: for axes.
        function: computes a registered cost from a candidate; None for the package's objectives.
        limited_column: the column that a budget limits, if it is not ``column``.
        is_on_request: whether the column exists only for studies that use the objective.
        further_columns: labels, by name, of other columns that belong to this objective.
        format_value: writes a value with its unit; if None, the label follows the number.
    """

    column: str
    direction: Literal["maximize", "minimize"]
    label: str
    function: CostFunction | None = None
    limited_column: str | None = None
    is_on_request: bool = False
    further_columns: Mapping[str, str] = field(default_factory=dict)
    format_value: Callable[[float | None], str] | None = None

    @property
    def budget_column(self) -> str:
        """The column that a budget limits."""
        return self.limited_column or self.column

    @property
    def name(self) -> str:
        """The label without its unit, for the head of a table."""
        return self.label.partition(" (")[0]

    def with_unit(self, value: float) -> str:
        """A value with its unit: "97.9%", "163 k OPs", "60.8 kB"."""
        if self.format_value is not None:
            return self.format_value(value)
        return f"{text.count(value)} {self.label}"


LATENCY = "latency"  # the only cost that is timed; all others are counted
RAM, FLASH = "ram", "flash"  # of the exported C
MEDIAN, LOW, HIGH = "latency_median_ms", "latency_low_ms", "latency_high_ms"

OBJECTIVES: Registry[Objective] = Registry(
    "objective",
    {
        "accuracy": Objective(
            "accuracy", "maximize", "validation accuracy", format_value=text.percent
        ),
        "ops": Objective("ops", "minimize", "OPs"),
        "flops": Objective("flops", "minimize", "FLOPs"),
        "bops": Objective("bops", "minimize", "BOPs"),
        "memory": Objective("memory_bytes", "minimize", "memory (bytes)", format_value=text.size),
        RAM: Objective(
            "ram_bytes", "minimize", "RAM (bytes)", is_on_request=True, format_value=text.size
        ),
        FLASH: Objective(
            "flash_bytes", "minimize", "flash (bytes)", is_on_request=True, format_value=text.size
        ),
        LATENCY: Objective(
            "latency_ms",
            "minimize",
            "latency (ms)",
            limited_column=MEDIAN,
            is_on_request=True,
            further_columns={
                MEDIAN: "latency before rounding (ms)",
                LOW: "latency, first quartile (ms)",
                HIGH: "latency, third quartile (ms)",
            },
            format_value=text.milliseconds,
        ),
    },
)


def register_objective(
    name: str, label: str | None = None
) -> Callable[[CostFunction], CostFunction]:
    """Register a cost that studies may minimise and limit by a budget.

    Decorates a function that takes a candidate and returns its cost: a finite number that is known
    before training, and the same at every call. A process calls it once for each candidate.

    Args:
        name: a word in lower case. It is also the column in the table of trials.
        label: for axes, with the unit; by default the name.

    Raises:
        StudyError: the name is taken, or is not a word in lower case.
    """
    if not name.isidentifier() or name != name.lower():
        raise StudyError(f"objective {name!r}: must be a word in lower case")

    def register(function: CostFunction) -> CostFunction:
        cached = functools.lru_cache(maxsize=None)(function)
        OBJECTIVES.register(
            name, Objective(name, "minimize", label or name, cached, is_on_request=True)
        )
        return function

    return register


def cost_names() -> list[str]:
    """Names of all objectives but accuracy."""
    return [name for name in OBJECTIVES if name != "accuracy"]


def costs_of(candidate: Candidate, price: Cost, names: Iterable[str]) -> dict[str, Any]:
    """A candidate's costs by column of the table of trials.

    ``price`` are its costs as `ir2search.costs.cost` counts them. Of the registered costs, those in
    ``names`` are computed.

    Raises:
        StudyError: a registered function failed, or did not return a finite number.
    """
    found = price.totals()
    for name in names:
        function = OBJECTIVES[name].function
        if function is not None:
            found[name] = _computed(name, function, candidate)
    return found


def _computed(name: str, function: CostFunction, candidate: Candidate) -> float:
    with user_code(f"objective {name!r} on candidate {candidate.id}"):
        value = function(candidate)
    if not isinstance(value, Real) or not math.isfinite(value):
        raise StudyError(f"objective {name!r}: must give a finite number, but gave {value!r}")
    return float(value)


def further_columns(names: Iterable[str]) -> dict[str, str]:
    """Columns that objectives add to the table of trials, and their labels.

    Registered costs, the latency, RAM and flash add columns; the others are always there.
    """
    found: dict[str, str] = {}
    for objective in map(OBJECTIVES.__getitem__, names):
        if objective.is_on_request:
            found |= {objective.column: objective.label, **objective.further_columns}
    return found


def costs_on_request(columns: Container[str]) -> list[Objective]:
    """The costs that a table with these columns has because its study asked for them."""
    asked = (each for each in OBJECTIVES.values() if each.is_on_request)
    return [each for each in asked if each.column in columns]
