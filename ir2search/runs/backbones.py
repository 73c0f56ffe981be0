"""Backbones that candidates share, trained once, from which their trainings start.

Candidates that differ only in recovery and restriction have one backbone. With a ``[warm_start]``
it is trained by itself, once for all of them, and each is then only fine-tuned::

    runs/<study>/backbones/
      <candidate id>/                  a backbone: candidate.json, curve.jsonl, *.safetensors
      <candidate id>/seeds/<k>/        the same from the k-th further seed, for ``[confirm]``
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor, nn

from ir2search.data import ImageData
from ir2search.errors import CheckpointError, RunError, TrainingDiverged
from ir2search.files import locked, read_json_lines, write_json
from ir2search.runs.layout import BEST, CURVE
from ir2search.seeds import derive_seed
from ir2search.space import Candidate
from ir2search.study.schema import Study
from ir2search.training import EpochResult, Interrupted, Recipe, load_network, train
from ir2search.training.checkpoint import discard_progress

FOLDER = "backbones"
POLL = 0.5  # seconds between looks at whether another process has trained a backbone


@dataclass(frozen=True)
class SharedBackbone:
    """A backbone that is trained once, by whichever process needs it first.

    Attributes:
        candidate: it, without recovery or restriction.
        recipe: of its training.
        folder: where its checkpoints are.
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
        """Its weights and buffers by name after its best epoch; trained now if it was not yet.

        While another process trains it, this one waits. A damaged checkpoint costs a training.

        Args:
            data: as for `train`, like all that follow.
            device: likewise.
            teacher: likewise.
            on_epoch: likewise.
            on_step: likewise.
            should_stop: likewise; asked while it waits, too.

        Raises:
            TrainingDiverged: a loss was not finite.
            Interrupted: ``should_stop`` said so.
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

        with _in_turn(self.folder, should_stop):
            write_json(self.folder / "candidate.json", self.candidate.as_dict())
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
    """The backbone that a candidate's training starts from; None where that is from scratch.

    Args:
        study: asks for it.
        folder: the run's.
        candidate: to be trained.
        further_seed: 0 for the backbone that the search starts from, k for one from the k-th
            further seed.
    """
    if study.warm_start is None:
        return None
    backbone = candidate.backbone_only()
    place = folder.resolve() / FOLDER / backbone.id
    return SharedBackbone(
        backbone,
        replace(study.recipe, epochs=study.warm_start.epochs),
        place / "seeds" / str(further_seed) if further_seed else place,
        derive_seed(study.seed, "backbone", backbone.id, further_seed),
    )


def backbone_curves(folder: Path) -> list[list[EpochResult]]:
    """The learning curves of the backbones that a run's search started from."""
    files = sorted((folder / FOLDER).glob(f"*/{CURVE}"))
    return [[EpochResult(**row) for row in read_json_lines(file)] for file in files]


@contextmanager
def _in_turn(folder: Path, should_stop: Callable[[], bool]) -> Iterator[None]:
    """Work in a folder alone, as soon as no other process does."""
    with ExitStack() as stack:
        while True:
            try:
                stack.enter_context(locked(folder, POLL))
                break
            except RunError:
                if should_stop():
                    raise Interrupted from None
        yield
