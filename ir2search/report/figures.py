"""The figures of a report, each drawn for a width in inches."""

from __future__ import annotations

from collections.abc import Callable

from matplotlib.figure import Figure

from ir2search.plots.pareto import accuracy_first, front_panels, fronts
from ir2search.plots.progress import curves, hypervolume
from ir2search.report.comparison import Comparison
from ir2search.report.data import ReportData


def front_figure(data: ReportData, width: float) -> Figure:
    """The front against each of its costs."""
    return front_panels(data.front, data.trials, data.study.objectives, width)


def hypervolume_figure(data: ReportData, width: float) -> Figure:
    """Hypervolume of the front after each trial."""
    figure = Figure(figsize=(width, 0.5 * width + 0.3))
    hypervolume(data.trials, ax=figure.subplots())
    return figure


def curves_figure(data: ReportData, width: float) -> Figure:
    """Learning curves; those of the front are in colour."""
    figure = Figure(figsize=(width, 0.55 * width + 0.3))
    curves(data.curves, list(data.front["number"]), ax=figure.subplots())
    return figure


def fronts_figure(comparison: Comparison, width: float) -> Figure:
    """The fronts of runs: accuracy, or the first objective, against the first cost."""
    y, x, *_ = accuracy_first(list(comparison.reference))
    figure = Figure(figsize=(width, 0.62 * width + 0.3))
    named = {name: [run.front for run in runs] for name, runs in comparison.groups.items()}
    fronts(named, x=x, y=y, ax=figure.subplots())
    return figure


FIGURES: dict[str, Callable[[ReportData, float], Figure]] = {
    "front": front_figure,
    "hypervolume": hypervolume_figure,
    "curves": curves_figure,
}
