"""Networks that a run did not try, trained as it trains its own, to be compared with them.

A twin, say, or the same network at another threshold::

    runs/<study>/variants/
      <candidate id>/                  candidate.json, curve.jsonl, *.safetensors
      <candidate id>/seeds/<k>/        the same from the k-th further seed
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import torch

from ir2search.data import ImageData
from ir2search.files import write_json
from ir2search.interrupts import deferred_interrupts
from ir2search.models.network import TappedNetwork
from ir2search.runs.backbones import SharedBackbone, shared_backbone
from ir2search.runs.layout import BEST, SEEDS
from ir2search.runs.saved import saved_study
from ir2search.seeds import derive_seed
from ir2search.space import Candidate
from ir2search.study.schema import Study
from ir2search.training import Interrupted, load_network, pick_device, train
from ir2search.zoo import load_teacher

FOLDER = "variants"
OnEpoch = Callable[[str, int, int], None]


def train_variant(
    folder: str | Path,
    candidate: Candidate,
    data: ImageData,
    *,
    further_seed: int = 0,
    until: int | None = None,
    device: str | torch.device = "auto",
    on_epoch: OnEpoch = lambda what, done, total: None,
) -> TappedNetwork:
    """Train a candidate by a run's recipe, once; what is trained already is loaded.

    Args:
        folder: of the run.
        candidate: any; it need not be of the study's space.
        data: the run's, see `ir2search.load_data`.
        further_seed: 0 for the seed that the run gives this candidate, k for the k-th further one.
        until: stop after so many of the recipe's epochs, and go on with the next call.
        device: where.
        on_epoch: told ``"network"``, or ``"backbone"`` where the run shares those, how many epochs
            are done, and of how many.

    Returns:
        The network after its best epoch so far.

    Raises:
        RunError: there is no run.
        TrainingDiverged: a loss was not finite.
        KeyboardInterrupt: asked to stop; the training goes on in the next call.
    """
    folder, study = Path(folder), saved_study(Path(folder))
    where = pick_device(device) if isinstance(device, str) else device
    place = _place(folder, candidate, further_seed)
    place.mkdir(parents=True, exist_ok=True)
    write_json(place / "candidate.json", candidate.as_dict())
    backbone, start = _backbone(study, folder, candidate, further_seed), None
    teacher = load_teacher(study.recipe, data.image, data.classes)
    with deferred_interrupts() as should_stop:
        try:
            if backbone is not None:
                length = backbone.recipe.epochs
                start = backbone.weights(
                    data,
                    device=where,
                    teacher=teacher,
                    on_epoch=lambda row: on_epoch("backbone", row.epoch, length),
                    should_stop=should_stop,
                )
            train(
                candidate,
                study.recipe,
                data,
                place,
                seed=_seed(study, candidate, further_seed),
                start=start,
                until=until,
                device=where,
                teacher=teacher,
                on_epoch=lambda row: on_epoch("network", row.epoch, study.recipe.total_epochs),
                should_stop=should_stop,
            )
        except Interrupted:
            raise KeyboardInterrupt from None
    return load_network(candidate, place / BEST)


def _place(folder: Path, candidate: Candidate, further_seed: int) -> Path:
    own = folder / FOLDER / candidate.id
    return own / SEEDS / str(further_seed) if further_seed else own


def _seed(study: Study, candidate: Candidate, further_seed: int) -> int:
    if further_seed:
        return derive_seed(study.seed, "confirm", candidate.id, further_seed)
    return derive_seed(study.seed, "train", candidate.id)


def _backbone(
    study: Study, folder: Path, candidate: Candidate, further_seed: int
) -> SharedBackbone | None:
    """The run's backbone where it has it; else the variant's own, which is not counted as its."""
    backbone = shared_backbone(study, folder, candidate, further_seed)
    if backbone is None or (backbone.folder / BEST).exists():
        return backbone
    return replace(backbone, folder=_place(folder, candidate, further_seed) / "backbone")
