"""Shared backbones: trained once, and the start of several candidates' trainings.

Candidates that differ only in recovery and restriction have the same backbone. With a
``[warm_start]`` section it is trained once for all of them, and each candidate is fine-tuned from
it. In the run's folder::

    backbones/<candidate id>/             candidate.json, curve.jsonl, *.safetensors
    backbones/<candidate id>/seeds/<k>/   the same from the k-th further seed, for ``[confirm]``
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor, nn

from ir2search.data import ImageData
from ir2search.errors import CheckpointError, TrainingDiverged
from ir2search.files import write_json
from ir2search.runs.curves import read_curve
from ir2search.runs.layout import BACKBONES, BEST, CANDIDATE_FILE, CURVE, seed_folder
from ir2search.runs.turns import waited_for
from ir2search.seeds import derive_seed
from ir2search.space import Candidate
from ir2search.study.schema import Study
from ir2search.training import EpochResult, Recipe, load_network, train
from ir2search.training.checkpoint import discard_progress


@dataclass(frozen=True)
class SharedBackbone:
    """A backbone that several candidates start from. The first process that needs it trains it.

    Attributes:
        candidate: the backbone, without recovery or restriction.
        recipe: how it is trained.
        folder: where its checkpoints are kept.
        seed: of its training.
    """

    candidate: Candidate
    recipe: Recipe
    folder: Path
    seed: int

    def weights(
        self,
        data: ImageData,
        *,
        device: torch.device,
        teacher: nn.Module | None = None,
        on_epoch: Callable[[EpochResult], None] = lambda result: None,
        on_step: Callable[[float], None] = lambda progress: None,
        should_stop: Callable[[], bool] = lambda: False,
    ) -> dict[str, Tensor]:
        """Weights and buffers after the best epoch, by name; trains the backbone if it is new.

        While another process trains it, this one waits. If a checkpoint is damaged, the training
        starts again. The arguments are those of `ir2search.train`.

        Raises:
            TrainingDiverged: a loss was not finite.
            Interrupted: ``should_stop`` returned true.
        """

        def trained() -> dict[str, Tensor]:
            train(
                self.candidate,
                self.recipe,
                data,
                self.folder,
                seed=self.seed,
                device=device,
                teacher=teacher,
                on_epoch=on_epoch,
                on_step=on_step,
                should_stop=should_stop,
            )
            return load_network(self.candidate, self.folder / BEST).state_dict()

        with waited_for(self.folder, should_stop):
            write_json(self.folder / CANDIDATE_FILE, self.candidate.as_dict())
            try:
                return trained()
            except CheckpointError:
                discard_progress(self.folder)
                return trained()
            except TrainingDiverged as error:
                raise TrainingDiverged(f"its shared backbone: {error}") from None


def shared_backbone(
    study: Study, folder: Path, candidate: Candidate, further_seed: int = 0
) -> SharedBackbone | None:
    """The backbone that a candidate's training starts from; None if it starts from scratch.

    ``folder`` is the run's. ``further_seed`` is 0 for the search, k for the k-th further seed.
    """
    if study.warm_start is None:
        return None
    backbone = candidate.backbone_only()
    return SharedBackbone(
        candidate=backbone,
        recipe=replace(study.recipe, epochs=study.warm_start.epochs),
        folder=seed_folder(folder.resolve() / BACKBONES / backbone.id, further_seed),
        seed=derive_seed(study.seed, "backbone", backbone.id, further_seed),
    )


def backbone_curves(folder: Path) -> list[list[EpochResult]]:
    """The learning curves of the backbones that a run's search started from."""
    files = sorted((folder / BACKBONES).glob(f"*/{CURVE}"))
    return [read_curve(file) for file in files]
