"""Shared backbones: trained once, and the start of several candidates' trainings.

Candidates that differ only in recovery and restriction have the same backbone. With a
``[warm_start]`` section it is trained once for all of them, and each candidate is fine-tuned from
it. In the run's folder::

    backbones/<candidate id>/             candidate.json, curve.jsonl, *.safetensors
    backbones/<candidate id>/seeds/<k>/   the same from the k-th further seed, for ``[confirm]``
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Unpack

from torch import Tensor

from ir2search.data import ImageData
from ir2search.files import write_json
from ir2search.runs.curves import read_curve
from ir2search.runs.layout import BACKBONES, BEST, CANDIDATE_FILE, CURVE, seed_folder
from ir2search.runs.turns import train_in_turn
from ir2search.seeds import derive_seed
from ir2search.space import Candidate
from ir2search.study.schema import Study
from ir2search.training import EpochResult, Recipe, TrainingOptions, load_network, train


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

    def weights(self, data: ImageData, **options: Unpack[TrainingOptions]) -> dict[str, Tensor]:
        """Weights and buffers after the best epoch, by name; trains the backbone if it is new.

        While another process trains it, this one waits. If a checkpoint is damaged, the training
        starts again. The options are those of `ir2search.train`.

        Raises:
            TrainingDiverged: a loss was not finite.
            Interrupted: ``should_stop`` returned true.
        """

        def training() -> dict[str, Tensor]:
            write_json(self.folder / CANDIDATE_FILE, self.candidate.as_dict())
            train(self.candidate, self.recipe, data, self.folder, seed=self.seed, **options)
            return load_network(self.candidate, self.folder / BEST).state_dict()

        should_stop = options.get("should_stop", lambda: False)
        return train_in_turn(training, self.folder, "its shared backbone", should_stop)


def shared_backbone(
    study: Study, backbones: Path, candidate: Candidate, further_seed: int = 0
) -> SharedBackbone | None:
    """The backbone that a candidate's training starts from; None if it starts from scratch.

    Args:
        study: of the run.
        backbones: the folder of the run's backbones.
        candidate: the network.
        further_seed: 0 for the search, k for the k-th further seed.
    """
    if study.warm_start is None:
        return None
    backbone = candidate.backbone_only()
    return SharedBackbone(
        candidate=backbone,
        recipe=replace(study.recipe, epochs=study.warm_start.epochs),
        folder=seed_folder(backbones.resolve() / backbone.id, further_seed),
        seed=derive_seed(study.seed, "backbone", backbone.id, further_seed),
    )


def backbone_curves(folder: Path) -> list[list[EpochResult]]:
    """The learning curves of the backbones that a run's search started from."""
    files = sorted((folder / BACKBONES).glob(f"*/{CURVE}"))
    return [read_curve(file) for file in files]
