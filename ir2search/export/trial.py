"""A run's network as a file for a device."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from ir2search.export.card import Origin
from ir2search.export.network import SUFFIXES, Exported, Format, export
from ir2search.runs.images import run_data
from ir2search.runs.layout import trial_folder
from ir2search.runs.results import pick_trial, trial_candidate, trials
from ir2search.runs.saved import saved_study
from ir2search.search.latency_timer import LatencyTimer
from ir2search.training import load_network
from ir2search.training.checkpoint import BEST

FOLDER = "export"  # in a trial's folder


def export_trial(
    folder: str | Path,
    trial: str = "best",
    format: Format = "packed",  # noqa: A002 - what people call it
    *,
    file: str | Path | None = None,
    data: str | Path | None = None,
    license: str | None = None,  # noqa: A002
) -> Exported:
    """Write a trained network of a run for a device, and a model card beside it.

    Args:
        folder: of the run.
        trial: ``"best"``, ``"knee"`` or a trial's number.
        format: see `ir2search.export`.
        file: where; in the trial's own folder where left out.
        data: the folder of images, where it is not where the run had it.
        license: for the model card.

    Raises:
        RunError: there is no run, nothing trained, or other data.
        InputError: the network cannot be exported so.
        IR2SearchError: see `ir2search.export`.
    """
    folder = Path(folder)
    study, number = saved_study(folder), pick_trial(folder, trial)
    candidate, own = trial_candidate(folder, number), trial_folder(folder, number)
    row = trials(folder).set_index("number").loc[number]
    origin = Origin(
        title=f"{study.name}, trial {number}",
        data=study.data.source if study.data.path is None else Path(study.data.path).name,
        made=f"trial {number} of the study {study.name}, seed {study.seed}, "
        f"{study.recipe.epochs} epochs",
        validation=_known(row["seed_accuracies"], row["accuracy"]),
        test=_known(row["seed_test_accuracies"], row["test_accuracy"]),
        license=license,
        latency=LatencyTimer(study, folder.parent).recorded(candidate, own),
    )
    target = Path(file) if file is not None else own / FOLDER / f"network{SUFFIXES.get(format, '')}"
    network = load_network(candidate, own / BEST)
    return export(network, candidate, run_data(folder, data), target, format, origin=origin)


def _known(seeds: Any, own: Any) -> list[float]:
    """Accuracies that were measured, the trial's own first."""
    values = seeds if isinstance(seeds, list) and seeds else [own]
    return [float(value) for value in values if value is not None and not math.isnan(value)]
