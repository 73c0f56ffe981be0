"""Variants: networks that a run did not try, trained as the run trains its own candidates.

Trials are compared with variants, such as their full-precision twin or the same network at another
threshold. In the run's folder::

    variants/<candidate id>/             candidate.json, curve.jsonl, *.safetensors
    variants/<candidate id>/seeds/<k>/   the same from the k-th further seed
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import torch

from ir2search.data import ImageData
from ir2search.files import write_json
from ir2search.interrupts import stoppable
from ir2search.models.network import TappedNetwork
from ir2search.runs.backbones import shared_backbone
from ir2search.runs.layout import BACKBONES, BEST, CANDIDATE_FILE, VARIANTS, seed_folder
from ir2search.runs.run import Run
from ir2search.runs.turns import train_in_turn
from ir2search.seeds import training_seed
from ir2search.space import Candidate
from ir2search.training import load_network, pick_device, train
from ir2search.zoo import load_teacher


def train_variant(
    run: Run | str | Path,
    candidate: Candidate,
    data: ImageData,
    *,
    further_seed: int = 0,
    until: int | None = None,
    device: str | torch.device = "auto",
    on_epoch: Callable[[str, int, int], None] = lambda what, done, total: None,
) -> TappedNetwork:
    """Train a candidate by a run's recipe, or load it if it is trained already.

    Args:
        run: a run, or its folder.
        candidate: the network, which need not be in the study's space.
        data: the run's images, see `Run.data`.
        further_seed: 0 for the seed that a trial of this candidate has, k for the k-th further one.
        until: stop after this number of epochs; the next call continues.
        device: ``"auto"``, ``"cpu"``, ``"cuda"``, ...
        on_epoch: called with ``"network"``, or ``"backbone"`` while a shared backbone is trained,
            the number of epochs that are done, and their total.

    Returns:
        The network after its best epoch so far, on the CPU.

    Raises:
        RunError: there is no run.
        TrainingDiverged: a loss was not finite.
        KeyboardInterrupt: the user interrupted; the next call continues.
    """
    run = Run.of(run)
    study = run.study
    device = pick_device(device) if isinstance(device, str) else device
    folder = seed_folder(run.folder / VARIANTS / candidate.id, further_seed)
    write_json(folder / CANDIDATE_FILE, candidate.as_dict())
    backbone = shared_backbone(study, run.folder / BACKBONES, candidate, further_seed)
    if backbone is not None and not (backbone.folder / BEST).exists():
        # its epochs do not count as the run's
        backbone = replace(backbone, folder=folder / "backbone")
    teacher = load_teacher(study.recipe, data.image, data.classes)
    with stoppable() as should_stop:

        def training() -> TappedNetwork:
            start = None
            if backbone is not None:
                total = backbone.recipe.epochs
                start = backbone.weights(
                    data,
                    device=device,
                    teacher=teacher,
                    on_epoch=lambda row: on_epoch("backbone", row.epoch, total),
                    should_stop=should_stop,
                )
            train(
                candidate,
                study.recipe,
                data,
                folder,
                seed=training_seed(study.seed, candidate.id, further_seed),
                start=start,
                until=until,
                device=device,
                teacher=teacher,
                on_epoch=lambda row: on_epoch("network", row.epoch, study.recipe.total_epochs),
                should_stop=should_stop,
            )
            return load_network(candidate, folder / BEST)

        return train_in_turn(training, folder, "the network to compare with", should_stop)
