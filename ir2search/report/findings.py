"""What a report's sections found, each in a sentence. A section without a sentence is left out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import pandas as pd

from ir2search import text
from ir2search.report.cells import shown_name
from ir2search.report.data import ReportData
from ir2search.report.picks import budget_rows
from ir2search.runs.parameters import Explained, Importance, parameter_values
from ir2search.study.objectives import OBJECTIVES

ALMOST = 0.95  # of the final hypervolume
LATE = 0.75  # of the trials
FEWEST = 5  # trained trials; fewer say nothing about the search
LABELS = {"accuracy": "accuracy", "ops": "OPs"}  # of the targets of `parameter_effects`


def section_findings(data: ReportData) -> dict[str, str]:
    """The sentence of each section, empty if there is too little to say."""
    return {
        "budgets": budgets_finding(budget_rows(data.front, data.study)),
        "front": front_finding(data),
        "progress": progress_finding(data.trials),
        "curves": curves_finding(
            data.curves, data.front["number"].tolist(), data.study.recipe.epochs
        ),
        "candidates": candidates_finding(data.trials, data.study.search_space.searched),
        "parameters": parameters_finding(data.effects.importances),
        "not_measurable": not_measurable(data.effects.explained),
        "failures": failures_finding(data.trials),
    }


def budgets_finding(rows: Sequence[Mapping[str, str]]) -> str:
    """How many networks are the best ones for some budget.

    Args:
        rows: as `budget_rows` returns them.
    """
    if not rows:
        return ""
    first, last = rows[0], rows[-1]
    if len(rows) == 1:
        return f"Trial {first['number']} is the best network for every budget."
    return (
        f"{len(rows)} networks are the best for some budget: from {first['accuracy'].split()[0]} "
        f"within {first['budget']} to {last['accuracy'].split()[0]} within {last['budget']}."
    )


def front_finding(data: ReportData) -> str:
    """How many networks are on the front, and what its ends are."""
    front, trained = data.front, int((data.trials["state"] == "trained").sum())
    if front.empty:
        return ""
    if len(front) == 1:
        return f"One of {trained} networks is at least as good as all others in every objective."
    cost = OBJECTIVES[data.study.costs[0]]
    by_cost = front.sort_values(cost.column)
    cheapest, dearest = by_cost.iloc[0], by_cost.iloc[-1]
    return (
        f"{len(front)} of {trained} networks are on the front: from "
        f"{text.percent(cheapest['accuracy'])} at {cost.with_unit(float(cheapest[cost.column]))} "
        f"to {text.percent(dearest['accuracy'])} at {cost.with_unit(float(dearest[cost.column]))}."
    )


def progress_finding(trials: pd.DataFrame) -> str:
    """When the front was almost complete, and whether it still grew at the end.

    Args:
        trials: a row for each trial with its ``state`` and ``hypervolume``.
    """
    if (trials["state"] == "trained").sum() < FEWEST or trials["hypervolume"].max() <= 0:
        return ""
    reached = trials["hypervolume"].to_numpy()
    almost = int((reached >= ALMOST * reached[-1]).argmax())
    grown = int((reached >= reached[-1]).argmax())
    last = f"its last member is trial {trials['number'].iloc[grown]}"
    if grown >= LATE * len(trials):
        last += ", so more trials may still improve it"
    return (
        f"After {almost + 1} of {len(trials)} trials the front had {ALMOST:.0%} of its final "
        f"hypervolume; {last}."
    )


def curves_finding(curves: pd.DataFrame, members: Sequence[int], epochs: int) -> str:
    """Whether networks of the front were still improving at the end of their training.

    Args:
        curves: a row for each epoch of each trial: ``number``, ``epoch`` and ``accuracy``.
        members: numbers of the trials on the front.
        epochs: of a whole training.
    """
    shown = curves[curves["number"].isin(members)]
    best = shown.sort_values(["accuracy", "epoch"]).groupby("number")["epoch"].last()
    if epochs < 2 or best.empty:
        return ""
    late = int((best >= epochs).sum())
    if not late:
        each = "The" if len(best) == 1 else "Each"
        return f"{each} network of the front is most accurate before the last of {epochs} epochs."
    if len(best) == 1:
        return (
            f"The network of the front is most accurate after the last of {epochs} epochs, so a "
            "longer training may raise its accuracy."
        )
    verb = "is" if late == 1 else "are"
    return (
        f"{late} of {len(best)} networks of the front {verb} most accurate after the last of "
        f"{epochs} epochs, so longer trainings may raise their accuracy."
    )


def candidates_finding(trials: pd.DataFrame, searched: Iterable[str]) -> str:
    """Which values all networks of the front share, and how many candidates have each of them.

    Args:
        trials: a row for each trial, with ``state`` and ``on_front``.
        searched: names of the searched parameters.
    """
    trained = trials[trials["state"] == "trained"]
    front, shared, differ = trained[trained["on_front"]], [], []
    for name in searched:
        values = parameter_values(trained, name)
        own = values[front.index].unique()
        if len(own) > 1:
            differ.append(shown_name(name))
        elif len(own) and values.nunique() > 1:
            count = int((values == own[0]).sum())
            shown = f"{own[0]:g}" if isinstance(own[0], float) else str(own[0]).lower()
            shared.append(f"{shown_name(name)} {shown} ({count} of {len(trained)} candidates)")
    if len(front) < 2:
        return ""
    if not shared:
        return "The networks of the front share no value that other candidates lack."
    also = f"; they differ in {text.names(differ)}" if differ else ""
    return f"All {len(front)} networks of the front have {text.names(shared)}{also}."


def failures_finding(trials: pd.DataFrame) -> str:
    """How many trials failed, and how many were turned down."""
    failed, refused = (int((trials["state"] == each).sum()) for each in ("failed", "turned down"))
    said = [f"{text.counted(failed, 'trial')} failed" if failed else ""]
    said += [f"{text.counted(refused, 'trial')} turned down before training" if refused else ""]
    return f"{'; '.join(filter(None, said))}."


def parameters_finding(importances: Sequence[Importance]) -> str:
    """The most important parameter of each target that can be predicted."""
    most: dict[str, Importance] = {}
    for each in importances:
        if each.target not in most or each.share > most[each.target].share:
            most[each.target] = each
    said = [
        f"{LABELS[target]} depends most on {shown_name(each.parameter)} ({each.share:.0%} of what "
        "is explained)"
        for target, each in most.items()
    ]
    sentence = "; ".join(said).replace("OPs depends", "OPs depend")
    return f"{sentence[0].upper()}{sentence[1:]}." if said else ""


def not_measurable(explained: Sequence[Explained]) -> str:
    """Which targets have no importances, and why; empty if all have them."""
    missing = [each for each in explained if not each.is_measurable]
    if not missing:
        return ""
    said = " and ".join(
        (f"{each.share:.0%} ({each.low:.0%} to {each.high:.0%})" if each.share > 0 else "nothing")
        + f" of the variance of {LABELS[each.target]}"
        for each in missing
    )
    return f"A random forest explains {said} on trials that it has not seen: too little to show."
