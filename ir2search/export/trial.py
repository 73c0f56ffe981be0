"""Export a network of a run for a device."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from ir2search.errors import CandidateError
from ir2search.export.card import Origin
from ir2search.export.describe import candidate_graph
from ir2search.export.network import SUFFIXES, Exported, Format, Timer, export
from ir2search.runs import Run, run_data, trials
from ir2search.runs.layout import BEST, CACHE, LATENCY_CACHE, LATENCY_FILE, trial_folder
from ir2search.runs.saved import saved_study
from ir2search.runtime import RuntimeTime, Setting, cached_time, read_time
from ir2search.space import Candidate
from ir2search.training import load_network

FOLDER = "export"  # in a trial's folder


def export_trial(
    folder: str | Path,
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
        folder: of the run.
        trial: ``"best"``, ``"knee"`` or a trial's number.
        format: ``"packed"``, ``"onnx"`` or ``"safetensors"``, see `ir2search.export`.
        file: where to write; in the trial's folder where left out.
        data: the folder of images, where it is not where the run had it.
        license: of the weights, for the model card.
        timer: times a packed file for the model card where the run has no time of the trial, see
            `ir2search.export`.

    Raises:
        RunError: there is no run, no trained trial, or the data are not those of the run.
        InputError: the network cannot be exported in this format.
        MissingExtraError: a package that the format needs is not installed.
        IR2SearchError: the file predicts differently from the network; it was removed.
    """
    folder = Path(folder)
    study, number = saved_study(folder), Run.open(folder).pick(trial)
    candidate, own = Run.open(folder).candidate(number), trial_folder(folder, number)
    row = trials(folder).set_index("number").loc[number]
    setting = Setting(study.latency.threads, study.latency.batch)
    origin = Origin(
        title=f"{study.name}, trial {number}",
        data=study.data.source if study.data.path is None else Path(study.data.path).name,
        made=f"trial {number} of the study {study.name}, seed {study.seed}, "
        f"{study.recipe.epochs} epochs",
        validation=_measured(row["seed_accuracies"], row["accuracy"]),
        test=_measured(row["seed_test_accuracies"], row["test_accuracy"]),
        license=license,
        latency=read_time(own / LATENCY_FILE)
        or _cached_time(candidate, setting, folder.parent / CACHE / LATENCY_CACHE),
    )
    target = Path(file) if file is not None else own / FOLDER / f"network{SUFFIXES.get(format, '')}"
    network, images = load_network(candidate, own / BEST), run_data(folder, data)
    return export(network, candidate, images, target, format, origin=origin, timer=timer)


def _cached_time(candidate: Candidate, setting: Setting, cache: Path) -> RuntimeTime | None:
    """The time of another trial of the same architecture on this machine."""
    try:
        return cached_time(candidate_graph(candidate), setting, cache)
    except CandidateError:
        return None


def _measured(seeds: Any, own: Any) -> list[float]:
    """The accuracies that were measured, the trial's own first."""
    values = seeds if isinstance(seeds, list) and seeds else [own]
    return [float(value) for value in values if value is not None and not math.isnan(value)]
