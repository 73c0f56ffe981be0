"""Export a network of a run for a device."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from ir2search import text
from ir2search.errors import CandidateError
from ir2search.export.card import Origin
from ir2search.export.describe import candidate_graph
from ir2search.export.network import SUFFIXES, Exported, Format, Timer, export
from ir2search.runs import Run
from ir2search.runs.layout import EXPORT, LATENCY_CACHE, LATENCY_FILE
from ir2search.runtime import RuntimeTime, Setting, cached_time, read_time
from ir2search.study.schema import Study


def export_trial(
    run: Run | str | Path,
    trial: str = "best",
    format: Format = "packed",  # noqa: A002 - the usual word
    *,
    file: str | Path | None = None,
    data: str | Path | None = None,
    license: str | None = None,  # noqa: A002
    timer: Timer | None = None,
) -> Exported:
    """Write a trained network of a run for a device, and a model card beside it.

    Args:
        run: a run, or its folder.
        trial: ``"best"``, ``"knee"`` or a trial's number.
        format: ``"packed"``, ``"onnx"``, ``"safetensors"``, ``"c"`` or ``"web"``, see
            `ir2search.export`.
        file: path to write; None for a file in the trial's folder.
        data: the folder of images if it has moved since the run.
        license: license of the weights, for the model card.
        timer: times a packed file for the model card if the run has not timed the trial, see
            `ir2search.export`.

    Raises:
        RunError: there is no run, no trained trial, or the data are not those of the run.
        InputError: the network cannot be exported in this format.
        MissingExtraError: a package that the format needs is not installed.
        MissingCompilerError: the C runtime must be compiled to check the file, and cannot be.
        IR2SearchError: the file predicts differently from the network; it was removed.
    """
    run = Run.of(run)
    number = run.pick(trial)
    target = run.folder_of(number) / EXPORT / f"network{SUFFIXES.get(format, '')}"
    return export(
        run.network(number),
        run.candidate(number),
        run.data(data),
        target if file is None else Path(file),
        format,
        origin=_origin(run, number, license),
        timer=timer,
    )


def _origin(run: Run, number: int, license: str | None) -> Origin:  # noqa: A002
    study, row = run.study, run.trials().set_index("number").loc[number]
    return Origin(
        title=f"{study.name}, trial {number}",
        data=study.data.source if study.data.path is None else Path(study.data.path).name,
        made=f"trial {number} of the study {study.name}, seed {study.seed}, "
        + _training(study, row["how"] if study.supernet else None, row["epochs"]),
        validation=_measured(row["seed_accuracies"], row["accuracy"]),
        test=_measured(row["seed_test_accuracies"], row["test_accuracy"]),
        license=license,
        latency=read_time(run.folder_of(number) / LATENCY_FILE) or _cached_time(run, number),
    )


def _training(study: Study, how: Any, epochs: Any) -> str:
    """How the network of a trial was trained, in a phrase; ``epochs`` are its own."""
    supernet = study.supernet
    if supernet is None or how == "trained":
        return text.counted(study.recipe.epochs, "epoch")
    shared = f"weights inherited from a supernet of {text.counted(supernet.epochs, 'epoch')}"
    if how != "fine-tuned":
        return shared
    return f"{shared}, fine-tuned for {text.counted(int(epochs), 'epoch')}"


def _cached_time(run: Run, number: int) -> RuntimeTime | None:
    """The time of another network with the trial's architecture on this machine."""
    setting = Setting(run.study.latency.threads, run.study.latency.batch)
    try:
        graph = candidate_graph(run.candidate(number))
    except CandidateError:
        return None
    return cached_time(graph, setting, run.cache / LATENCY_CACHE)


def _measured(seeds: Any, own: Any) -> list[float]:
    """The measured accuracies; the trial's own is the first."""
    values = seeds if isinstance(seeds, list) and seeds else [own]
    return [float(value) for value in values if value is not None and not math.isnan(value)]
