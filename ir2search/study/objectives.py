"""What a study may optimise: the accuracy, and every cost known before training."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from numbers import Real
from typing import TYPE_CHECKING, Any, Literal

from ir2search import text
from ir2search.errors import StudyError
from ir2search.extensions import Registry, foreign
from ir2search.space import Candidate

if TYPE_CHECKING:
    from ir2search.costs import Cost


@dataclass(frozen=True)
class Objective:
    """One objective: its column in tables, its direction, and how people read it.

    Attributes:
        column: of the table of trials.
        direction: as Optuna says it.
        label: on axes.
        measure: of a candidate before it is trained; None for the package's own.
        limited: the column that a budget is on, where it is another.
        beside: labels of columns that come with it.
        shown: a value with its unit, where that is not the label.
    """

    column: str
    direction: Literal["maximize", "minimize"]
    label: str
    measure: Callable[[Candidate], float] | None = None
    limited: str | None = None
    beside: Mapping[str, str] = field(default_factory=dict)
    shown: Callable[[float | None], str] | None = None

    @property
    def budget_column(self) -> str:
        """The column that a budget is on."""
        return self.limited or self.column

    def read(self, value: float) -> str:
        """A value as people read it: "97.9%", "163 k OPs", "60.8 kB"."""
        return self.shown(value) if self.shown else f"{text.count(value)} {self.label}"


LATENCY = "latency"  # measured, by `ir2search.search.latency_timer`; all other costs are counted
MEDIAN, LOW, HIGH = "latency_median_ms", "latency_low_ms", "latency_high_ms"

OBJECTIVES: Registry[Objective] = Registry(
    "objective",
    {
        "accuracy": Objective("accuracy", "maximize", "validation accuracy", shown=text.percent),
        "ops": Objective("ops", "minimize", "OPs"),
        "flops": Objective("flops", "minimize", "FLOPs"),
        "bops": Objective("bops", "minimize", "BOPs"),
        "memory": Objective("memory_bytes", "minimize", "memory (bytes)", shown=text.size),
        LATENCY: Objective(
            "latency_ms",
            "minimize",
            "latency (ms)",
            limited=MEDIAN,
            beside={
                MEDIAN: "latency before rounding (ms)",
                LOW: "latency, first quartile (ms)",
                HIGH: "latency, third quartile (ms)",
            },
            shown=text.milliseconds,
        ),
    },
)

CostFunction = Callable[[Candidate], float]


def register_objective(
    name: str, label: str | None = None
) -> Callable[[CostFunction], CostFunction]:
    """Make a cost known that studies may minimise and put a budget on.

    Decorates a function from a candidate to its cost, which is known before it is trained: a
    finite number, the same each time. It is asked once for each candidate in a process.

    Args:
        name: of the objective, a word in lower case: it is a column of the table of trials.
        label: on axes, with the unit; the name where left out.

    Raises:
        StudyError: the name is taken, or no word in lower case.
    """
    if not name.isidentifier() or name != name.lower():
        raise StudyError(f"objective {name!r}: must be a word in lower case")

    def register(function: CostFunction) -> CostFunction:
        measure = functools.lru_cache(maxsize=None)(function)
        OBJECTIVES.register(name, Objective(name, "minimize", label or name, measure))
        return function

    return register


def costs_of(candidate: Candidate, price: Cost, names: Iterable[str]) -> dict[str, Any]:
    """The totals of a candidate's cost by column, with those registered ones that are named.

    Args:
        candidate: whose.
        price: its cost as this package counts it.
        names: of objectives.

    Raises:
        StudyError: a registered function failed, or gave no finite number.
    """
    found = price.totals()
    for name in names:
        measure = OBJECTIVES[name].measure
        if measure is not None:
            found[name] = _measured(name, measure, candidate)
    return found


def _measured(name: str, measure: Callable[[Candidate], float], candidate: Candidate) -> float:
    with foreign(f"objective {name!r} on candidate {candidate.id}"):
        value = measure(candidate)
    if not isinstance(value, Real) or not math.isfinite(value):
        raise StudyError(f"objective {name!r}: must give a finite number, but gave {value!r}")
    return float(value)


def own_columns(names: Iterable[str]) -> dict[str, str]:
    """Labels of those columns of the table of trials that not every study has."""
    found: dict[str, str] = {}
    for objective in map(OBJECTIVES.__getitem__, names):
        if objective.measure is not None or objective.beside:
            found |= {objective.column: objective.label, **objective.beside}
    return found
