"""What a study may optimise: the accuracy, and costs that are known before training."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from numbers import Real
from typing import TYPE_CHECKING, Any, Literal

from ir2search import text
from ir2search.errors import StudyError
from ir2search.extensions import Registry, user_code
from ir2search.space import Candidate

if TYPE_CHECKING:
    from ir2search.costs import Cost


@dataclass(frozen=True)
class Objective:
    """One objective: its column in tables, its direction, and how its values are shown.

    Attributes:
        column: in the table of trials.
        direction: of optimisation, in Optuna's words.
        label: on axes.
        measure: computes a registered cost from a candidate; None for the package's objectives.
        limited: the column that a budget limits, where it is not ``column``.
        beside: labels, by name, of further columns that belong to this objective.
        shown: formats a value with its unit; None to append the label instead.
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
        """The column that a budget limits."""
        return self.limited or self.column

    def read(self, value: float) -> str:
        """A value with its unit: "97.9%", "163 k OPs", "60.8 kB"."""
        return self.shown(value) if self.shown else f"{text.count(value)} {self.label}"


LATENCY = "latency"  # the only cost that is timed; all others are counted
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
    """Register a cost that studies may minimise and limit by a budget.

    Decorates a function that takes a candidate and returns its cost: a finite number that is known
    before training, and the same at every call. A process calls it once for each candidate.

    Args:
        name: of the objective, a word in lower case. It is a column of the table of trials.
        label: on axes, with the unit; the name where left out.

    Raises:
        StudyError: the name is taken, or is not a word in lower case.
    """
    if not name.isidentifier() or name != name.lower():
        raise StudyError(f"objective {name!r}: must be a word in lower case")

    def register(function: CostFunction) -> CostFunction:
        measure = functools.lru_cache(maxsize=None)(function)
        OBJECTIVES.register(name, Objective(name, "minimize", label or name, measure))
        return function

    return register


def cost_names() -> list[str]:
    """Names of all objectives but accuracy."""
    return [name for name in OBJECTIVES if name != "accuracy"]


def costs_of(candidate: Candidate, price: Cost, names: Iterable[str]) -> dict[str, Any]:
    """A candidate's counted costs, and its registered costs.

    Args:
        candidate: a network.
        price: its costs as `ir2search.costs.cost` counts them.
        names: objectives; of the registered costs only these are computed.

    Returns:
        Costs by column of the table of trials.

    Raises:
        StudyError: a registered function failed, or did not return a finite number.
    """
    found = price.totals()
    for name in names:
        measure = OBJECTIVES[name].measure
        if measure is not None:
            found[name] = _measured(name, measure, candidate)
    return found


def _measured(name: str, measure: Callable[[Candidate], float], candidate: Candidate) -> float:
    with user_code(f"objective {name!r} on candidate {candidate.id}"):
        value = measure(candidate)
    if not isinstance(value, Real) or not math.isfinite(value):
        raise StudyError(f"objective {name!r}: must give a finite number, but gave {value!r}")
    return float(value)


def own_columns(names: Iterable[str]) -> dict[str, str]:
    """Labels of the columns that these objectives add to the table of trials.

    Args:
        names: objectives; only registered costs and the latency add columns.

    Returns:
        Labels by column.
    """
    found: dict[str, str] = {}
    for objective in map(OBJECTIVES.__getitem__, names):
        if objective.measure is not None or objective.beside:
            found |= {objective.column: objective.label, **objective.beside}
    return found
