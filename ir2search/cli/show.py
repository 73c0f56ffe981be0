"""Results on standard output: tables for people, JSON for scripts."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console, Group
from rich.markup import escape
from rich.table import Table

from ir2search import text

if TYPE_CHECKING:
    import pandas as pd

    from ir2search.costs import Cost
    from ir2search.doctor import Finding
    from ir2search.export import Exported
    from ir2search.information import Analysis
    from ir2search.latency import Latency
    from ir2search.runs import RunStatus
    from ir2search.study.survey import Preset, StudySurvey
    from ir2search.zoo import TrainedNetwork
    from ir2search.zoo.released import Evaluation

PIPE_WIDTH = 200  # what goes to a file or a pipe is not folded to a terminal's width


def show_status(status: RunStatus, as_json: bool) -> None:
    """A run's counts and front."""
    if as_json:
        _print_json(status.as_dict())
    else:
        _console().print(_status(status))


def _status(status: RunStatus) -> Group:
    counts = ", ".join(f"{number} {state}" for state, number in status.counts.items() if number)
    head = f"[bold]{escape(status.name)}[/] in {escape(str(status.folder))}: "
    head += f"{counts or 'nothing'} of {status.asked} candidates to train"
    return Group(head, *([_front_table(status.front)] if len(status.front) else []))


def show_analyses(analyses: Sequence[Analysis], as_json: bool) -> None:
    """Measures by layer of one network or of several."""
    from ir2search.runs import json_rows

    if as_json:
        found = [
            {
                "network": analysis.name,
                "folder": str(analysis.folder),
                "layers": json_rows(analysis.layers),
                "methods": json_rows(analysis.trust),
            }
            for analysis in analyses
        ]
        _print_json({"analyses": found})
        return
    for analysis in analyses:
        _show_analysis(analysis, json_rows(analysis.layers), json_rows(analysis.trust))


def _show_analysis(
    analysis: Analysis, layers: Sequence[dict[str, Any]], methods: Sequence[dict[str, Any]]
) -> None:
    columns = (
        "layer", "information", "twin's", "without recovery", "lost here", "entropy of signs",
        "attention like the twin's", "CKA",
    )  # fmt: skip
    table = _table(f"{analysis.name}: bits about the label by layer", columns, words={"layer"})
    for row in layers:
        table.add_row(
            row["layer"],
            text.number(row["information"]),
            text.number(row["twin_information"]),
            text.number(row["plain_information"]),
            text.difference(row["loss"], row["loss_low"], row["loss_high"]),
            text.number(row["sign_entropy"]),
            text.number(row["attention_likeness"]),
            text.number(row["cka"]),
        )
    console = _console()
    console.print(table)
    trusted = [row["method"].replace("_", " ") for row in methods if row["trusted"]]
    others = [row["method"].replace("_", " ") for row in methods if not row["trusted"]]
    console.print(f"attributions to trust, the most faithful first: {text.names(trusted)}")
    console.print(f"not to trust on this network: {text.names(others)}")
    console.print(f"figures and tables in {escape(str(analysis.folder))}")


def show_latency(found: Latency, layers: bool, as_json: bool) -> None:
    """Times of a network by way, threads and batch."""
    if as_json:
        _print_json(found.as_dict())
        return
    columns = ("way", "threads", "batch", "median", "quartiles", "an image", "")
    table = _table(f"{found.name}: milliseconds a call", columns, words={"way", ""})
    for row in found.rows:
        low, median, high = (
            1000 * seconds for seconds in (row.timing.low, row.timing.median, row.timing.high)
        )
        fastest = row.way in found.fastest(row.threads, row.batch)
        table.add_row(
            row.way,
            str(row.threads),
            str(row.batch),
            f"{median:.3f}",
            f"{low:.3f} to {high:.3f}",
            f"{median / row.batch:.3f}",
            "fastest" if fastest else "",
        )
    _console().print(table)
    if layers:
        names = ("layer", "kind", "threads", "batch", "microseconds")
        table = _table("time of each layer on the runtime", names, words={"layer", "kind"})
        for each in found.layers:
            counts = (str(each.threads), str(each.batch), f"{1e6 * each.seconds:.1f}")
            table.add_row(each.name, each.kind, *counts)
        _console().print(table)


def show_cost(cost: Cost, name: str, as_json: bool, as_csv: bool) -> None:
    """A network's costs by layer and in total."""
    if as_json:
        _print_json(cost.as_dict())
        return
    if as_csv:
        print(cost.layers.to_csv(index=False), end="")  # noqa: T201
        return
    columns = ("layer", "type", "FLOPs", "BOPs", "parameters", "of them binary", "memory")
    table = _table(name, columns, words={"layer", "type"})
    for row in cost.rows:
        if row.flops or row.bops or row.parameters:
            counts = (row.flops, row.bops, row.parameters, row.binary_parameters)
            table.add_row(
                row.name, row.type, *(f"{n:,}" if n else "" for n in counts),
                text.size(row.memory_bytes),
            )  # fmt: skip
    totals = (cost.flops, cost.bops, cost.parameters, cost.binary_parameters)
    table.add_section()
    table.add_row("total", "", *(f"{n:,}" for n in totals), text.size(cost.memory_bytes))
    console = _console()
    console.print(table)
    console.print(f"OPs = FLOPs + BOPs / 64 = [bold]{cost.ops:,.0f}[/] for one image")
    packed = text.size(cost.packed_bytes)
    console.print(f"a packed file takes {packed} and a header of some kB, see `ir2search export`")
    others = ", ".join(f"{kind} {number:,}" for kind, number in cost.others.items())
    console.print(f"not counted in FLOPs, BOPs or OPs: {others.replace('_', ' ')}")


def show_evaluation(evaluation: Evaluation, as_json: bool) -> None:
    """Accuracy of released weights."""
    if as_json:
        _print_json(asdict(evaluation))
        return
    shares = f"top-1 {text.percent(evaluation.top1)}, top-5 {text.percent(evaluation.top5)}"
    _console().print(f"{shares} of {evaluation.images:,} test images")


def show_exported(exported: Exported, as_json: bool) -> None:
    """A file for a device."""
    if as_json:
        _print_json(exported.as_dict())
        return
    console = _console()
    console.print(
        f"{escape(str(exported.file))}: {exported.bytes:,} bytes; as the training graph on all of "
        f"{exported.images:,} images, logits within {exported.largest_difference:.2g}"
    )
    console.print(f"model card in {escape(str(exported.card))}")


def show_training(trained: TrainedNetwork, as_json: bool) -> None:
    """Accuracy of a network that was trained by itself."""
    if as_json:
        _print_json(trained.as_dict())
        return
    best = trained.best
    console = _console()
    console.print(
        f"{text.percent(best.validation_accuracy)} of the validation images at epoch {best.epoch}, "
        f"{text.percent(trained.test_accuracy)} of {trained.test_images:,} test images"
    )
    console.print(f"weights and curve in {escape(str(trained.folder))}")


def show_studies(surveys: Sequence[StudySurvey], as_json: bool) -> None:
    """Study files with what each takes."""
    if as_json:
        _print_json([asdict(survey) | {"file": str(survey.file)} for survey in surveys])
        return
    words = {"study", "purpose", "data"}
    table = _table(None, ("study", "trials", "epochs", "OPs", "data", "purpose"), words=words)
    for survey in surveys:
        ops = f"{text.count(survey.least_ops)} to {text.count(survey.most_ops)}"
        counts = (str(survey.trials), f"{survey.epochs:,}", ops)
        table.add_row(survey.name, *counts, survey.data, escape(survey.purpose))
    _console().print(table)


def show_presets(presets: Sequence[Preset], as_json: bool) -> None:
    """The paper's networks with their costs."""
    if as_json:
        _print_json(
            [
                {
                    "name": each.name,
                    "image": list(each.candidate.image),
                    "classes": each.candidate.classes,
                    "epochs": each.epochs,
                }
                | each.cost.totals()
                for each in presets
            ]
        )
        return
    columns = ("preset", "image", "classes", "epochs", "FLOPs", "BOPs", "OPs", "memory")
    table = _table(None, columns, words={"preset"})
    for each in presets:
        _, height, width = each.candidate.image
        counts = map(text.count, (each.cost.flops, each.cost.bops, each.cost.ops))
        table.add_row(
            each.name, f"{height} x {width}", str(each.candidate.classes), str(each.epochs),
            *counts, text.size(each.cost.memory_bytes),
        )  # fmt: skip
    console = _console()
    console.print(table)
    console.print("epochs are those of the paper's recipe, which `ir2search train` takes")


def show_findings(findings: Sequence[Finding], as_json: bool) -> None:
    """What the machine has."""
    if as_json:
        _print_json([asdict(finding) for finding in findings])
        return
    colours = {"good": "green", "slow": "yellow", "wrong": "red", "absent": "dim"}
    table = _table(
        None, ("", "looked at", "found", "advice"), words={"", "looked at", "found", "advice"}
    )
    for finding in findings:
        state = f"[{colours[finding.state]}]{finding.state}[/]"
        table.add_row(state, finding.subject, escape(finding.found), escape(finding.advice))
    _console().print(table)


def watch_status(folder: Path, as_json: bool) -> None:
    """A run's counts and front, anew whenever they change, until it has ended."""
    from rich.live import Live

    from ir2search.runs import watch

    if as_json or not sys.stdout.isatty():
        for status in watch(folder):
            if as_json:
                print(json.dumps(status.as_dict()), flush=True)  # noqa: T201
            else:
                show_status(status, as_json=False)
        return
    with Live(console=_console(), auto_refresh=False) as live:
        for status in watch(folder):
            live.update(_status(status), refresh=True)


def _front_table(front: pd.DataFrame) -> Table:
    from ir2search.runs import json_rows

    rows = json_rows(front)
    confirmed = any(len(row["seed_accuracies"]) > 1 for row in rows)
    over_seeds = ("validation over seeds", "test over seeds") if confirmed else ()
    timed = ("latency",) if "latency_ms" in front else ()
    columns = ("trial", "validation", "test", *over_seeds, "OPs", "memory", *timed, "network")
    table = _table("front", columns, words={"network"})
    for row in rows:
        spreads = (text.spread(row[f"seed_{name}"]) for name in ("accuracies", "test_accuracies"))
        table.add_row(
            str(row["number"]),
            text.percent(row["accuracy"]),
            text.percent(row["test_accuracy"]),
            *(spreads if confirmed else ()),
            text.count(row["ops"]),
            text.size(row["memory_bytes"]),
            *(text.milliseconds(row["latency_ms"]) for _ in timed),
            text.network(row),
        )
    return table


def _table(title: str | None, columns: Sequence[str], words: set[str]) -> Table:
    table = Table(title=title, title_justify="left", box=None, header_style="bold")
    for name in columns:
        left = name in words
        table.add_column(name, justify="left" if left else "right", no_wrap=not left)
    return table


def _console() -> Console:
    return Console(width=None if sys.stdout.isatty() else PIPE_WIDTH, highlight=False)


def _print_json(value: object) -> None:
    print(json.dumps(value, indent=2))  # noqa: T201
