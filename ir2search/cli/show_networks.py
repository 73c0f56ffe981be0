"""Show the costs, the training, the predictions and the analysis of single networks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ir2search import escape, text
from ir2search.cli.show import bold, console, print_json, say, table

if TYPE_CHECKING:
    from ir2search.costs import Cost
    from ir2search.export import DeviceMemory
    from ir2search.information import Analysis
    from ir2search.runs import Evaluation, Prediction
    from ir2search.study.survey import Preset
    from ir2search.zoo import ShippedNetwork, TrainedNetwork


def show_presets(presets: Sequence[Preset], as_json: bool) -> None:
    """Show the paper's networks with their costs."""
    if as_json:
        print_json([_preset_values(each) for each in presets])
        return
    columns = ("preset", "image", "classes", "epochs", "FLOPs", "BOPs", "OPs", "memory")
    found = table(None, columns, words={"preset"})
    for each in presets:
        _, height, width = each.candidate.image
        counts = map(text.count, (each.cost.flops, each.cost.bops, each.cost.ops))
        found.add_row(
            each.name, f"{height} x {width}", str(each.candidate.classes), str(each.epochs),
            *counts, text.size(each.cost.memory_bytes),
        )  # fmt: skip
    console().print(found)
    say("epochs are those of the paper's recipe, which `ir2search train` uses")


def _preset_values(preset: Preset) -> dict[str, object]:
    shape = {"image": list(preset.candidate.image), "classes": preset.candidate.classes}
    return {"name": preset.name, **shape, "epochs": preset.epochs, **preset.cost.totals()}


def show_cost(
    cost: Cost, memory: DeviceMemory | None, name: str, steps: bool, as_json: bool, as_csv: bool
) -> None:
    """Show the costs of a network by layer and in total, and RAM and flash on a microcontroller."""
    if as_json:
        print_json(cost.as_dict() | ({} if memory is None else memory.as_dict()))
        return
    if as_csv:
        print(escape.csv_table(cost.layers), end="")  # noqa: T201
        return
    columns = ("layer", "type", "FLOPs", "BOPs", "parameters", "binary parameters", "memory")
    found = table(name, columns, words={"layer", "type"})
    for row in cost.rows:
        if row.flops or row.bops or row.parameters:
            counts = (row.flops, row.bops, row.parameters, row.binary_parameters)
            shown = (f"{n:,}" if n else "" for n in counts)
            found.add_row(row.name, row.type, *shown, text.size(row.memory_bytes))
    totals = (cost.flops, cost.bops, cost.parameters, cost.binary_parameters)
    found.add_section()
    found.add_row("total", "", *(f"{n:,}" for n in totals), text.size(cost.memory_bytes))
    console().print(found)
    say("OPs = FLOPs + BOPs / 64 = ", bold(f"{cost.ops:,.0f}"), " for one image")
    packed = text.size(cost.packed_bytes)
    say(f"packed file (`ir2search export`): {packed} and a header of a few kB")
    if memory is not None:
        ram, flash = text.size(memory.ram_bytes), text.size(memory.flash_bytes)
        say(f"on a microcontroller (`ir2search export --format c`): RAM {ram}, flash {flash}")
    others = ", ".join(f"{kind} {number:,}" for kind, number in cost.others.items())
    say(f"not counted in FLOPs, BOPs or OPs: {others.replace('_', ' ')}")
    if steps and memory is not None:
        _show_steps(memory)


def _show_steps(memory: DeviceMemory) -> None:
    found = table("bytes by step", ("step", "RAM", "flash"), words={"step"})
    for each in memory.steps:
        found.add_row(each.name, f"{each.ram_bytes:,}", f"{each.flash_bytes:,}")
    console().print(found)


def show_training(trained: TrainedNetwork, as_json: bool) -> None:
    """Show the accuracy of a network after training."""
    if as_json:
        print_json(trained.as_dict())
        return
    best = trained.best
    assert best.validation_accuracy is not None
    say(
        f"{text.percent(best.validation_accuracy)} of the validation images at epoch {best.epoch}, "
        f"{text.percent(trained.test_accuracy)} of {trained.test_images:,} test images"
    )
    if best.restricts_few_pixels:
        say(
            f"restriction blanked only {100 * best.restricted_share:.1g}% of the pixels, but each "
            "batch with such a pixel takes a second pass; with a threshold of 0, training may be "
            "twice as fast"
        )
    say("weights and learning curve are in ", str(trained.folder))


def show_zoo(networks: Sequence[ShippedNetwork], as_json: bool) -> None:
    """Show the trained networks that come with this package."""
    if as_json:
        print_json([each.as_dict() for each in networks])
        return
    columns = ("network", "data", "test accuracy", "OPs", "packed", "epochs")
    found = table(None, columns, words={"network", "data"})
    for each in networks:
        training = each.training
        found.add_row(
            each.name, each.images.data,
            f"{text.percent(training.test_accuracy)} ({text.interval(*training.interval)})",
            text.count(training.ops), text.size(each.packed.stat().st_size), str(training.epochs),
        )  # fmt: skip
    console().print(found)
    say("in brackets: 95% intervals for other images of this kind")
    say("--json has each network's image size, files, model card, and the command that trains it")


def show_predictions(predictions: Sequence[Prediction], as_json: bool) -> None:
    """Show the most probable classes of images."""
    if as_json:
        print_json([each.as_dict() for each in predictions])
        return
    for each in predictions:
        classes = (f"{found.name} {text.percent(found.probability)}" for found in each.classes)
        say(bold(each.image), "  ", ", ".join(classes))


def show_evaluation(evaluation: Evaluation, as_json: bool) -> None:
    """Show the accuracy of a network on test images."""
    found = evaluation.as_dict()
    if as_json:
        print_json(found)
        return
    top1, top5 = text.percent(evaluation.top1), text.percent(evaluation.top5)
    interval = text.interval(found["low"], found["high"])
    say(f"top-1 {top1} ({interval}), top-5 {top5} of {evaluation.images:,} test images")


def show_analyses(analyses: Sequence[Analysis], as_json: bool) -> None:
    """Show the information analyses of networks."""
    from ir2search.runs import json_rows

    if as_json:
        found = [
            {
                "network": analysis.name,
                "folder": str(analysis.folder),
                "layers": json_rows(analysis.layers),
                "methods": json_rows(analysis.trust),
                "sensitivity": json_rows(analysis.sensitivity),
                "findings": [each.as_dict() for each in analysis.findings],
                "study": None if analysis.study is None else str(analysis.study),
            }
            for analysis in analyses
        ]
        print_json({"analyses": found})
        return
    for analysis in analyses:
        _show_analysis(analysis)


def _show_analysis(analysis: Analysis) -> None:
    from ir2search.report.cells import information_cells, trust_cells

    cells = information_cells(analysis.layers)
    found = table(analysis.name, cells.columns.tolist(), words={"layer"})
    for row in cells.itertuples(index=False):
        found.add_row(*row)
    methods = trust_cells(analysis.trust)
    trusted, others = (
        text.names(methods.loc[methods["trusted"] == wanted, "method"].tolist())
        for wanted in ("yes", "no")
    )
    console().print(found)
    say(f"trusted attribution methods, the most faithful first: {trusted}")
    say(f"methods not to trust on this network: {others}")
    for finding in analysis.findings:
        say(f"- {finding.sentence}")
    say("figures and tables are in ", str(analysis.folder))
    if analysis.study is not None:
        say(f"to train with these layers in full precision: ir2search run {analysis.study}")
