"""Backbones that candidates share, trained once, from which their trainings start.

Candidates that differ only in recovery and restriction have one backbone. With a ``[warm_start]``
it is trained by itself, once for all of them, and each is then only fine-tuned::

    runs/<study>/backbones/
      <candidate id>/                  a backbone: candidate.json, curve.jsonl, *.safetensors
      <candidate id>/seeds/<k>/        the same from the k-th further seed, for ``[confirm]``
      twins/<candidate id>/            in full precision, for the analysis of a trial
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
from ir2search.search.samplers import derive_seed
from ir2search.search.study import Study
from ir2search.space import Candidate
from ir2search.training import EpochResult, Interrupted, Recipe, load_network, train
from ir2search.training.checkpoint import BEST, CURVE, discard_progress

FOLDER = "backbones"
POLL = 0.5  # seconds between looks at whether another process has trained a backbone


@dataclass(frozen=True)
class Backbones:
    """The shared backbones of a run.

    Attributes:
        folder: with a folder for each of them.
        recipe: of their training.
        seed: the study's.
    """

    folder: Path
    recipe: Recipe
    seed: int

    def weights(
        self,
        candidate: Candidate,
        data: ImageData,
        *,
        device: torch.device,
        teacher: nn.Module | None = None,
        repeat: int = 0,
        on_epoch: Callable[[EpochResult], None] = lambda result: None,
        on_step: Callable[[float], None] = lambda progress: None,
        should_stop: Callable[[], bool] = lambda: False,
    ) -> dict[str, Tensor]:
        """Weights and buffers by name of a candidate's backbone, trained now if it was not yet.

        While another process trains it, this one waits.

        Args:
            candidate: whose backbone.
            data: as for `train`.
            device: as for `train`.
            teacher: as for `train`.
            repeat: 0 for the backbone that a whole search starts from, k for one of the k-th
                further seed.
            on_epoch: as for `train`.
            on_step: as for `train`.
            should_stop: as for `train`; asked while it waits, too.

        Raises:
            TrainingDiverged: a loss was not finite.
            Interrupted: ``should_stop`` said so.
        """
        backbone = candidate.backbone_only()
        place = self.folder / backbone.id
        if repeat:
            place = place / "seeds" / str(repeat)

        def trained() -> dict[str, Tensor]:
            train(
                backbone,
                self.recipe,
                data,
                place,
                seed=derive_seed(self.seed, "backbone", backbone.id, repeat),
                device=device,
                teacher=teacher,
                on_epoch=on_epoch,
                on_step=on_step,
                should_stop=should_stop,
            )
            return load_network(backbone, place / BEST).state_dict()

        with _in_turn(place, should_stop):
            write_json(place / "candidate.json", backbone.as_dict())
            try:
                return trained()
            except CheckpointError:
                discard_progress(place)
                return trained()
            except TrainingDiverged as error:
                raise TrainingDiverged(f"its shared backbone: {error}") from None


def shared_backbones(study: Study, folder: Path) -> Backbones | None:
    """The backbones of a study's run in ``folder``; None where the study starts from scratch."""
    if study.warm_start is None:
        return None
    recipe = replace(study.recipe, epochs=study.warm_start.epochs)
    return Backbones(folder / FOLDER, recipe, study.seed)


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
