"""The supernet of a run: trained once, and the source of all candidates' weights.

In the run's folder::

    supernet/    supernet.json, curve.jsonl, *.safetensors
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor, nn

from ir2search.data import ImageData
from ir2search.errors import CheckpointError, SpaceError, TrainingDiverged
from ir2search.models.network import TappedNetwork
from ir2search.runs.curves import read_curve
from ir2search.runs.layout import BEST, CURVE, SUPERNET
from ir2search.runs.turns import waited_for
from ir2search.seeds import derive_seed
from ir2search.space import Candidate, SearchSpace
from ir2search.study.schema import Study
from ir2search.supernet import (
    Supernet,
    SupernetSettings,
    calibrated_subnet,
    calibration_batches,
    load_supernet,
    train_supernet,
)
from ir2search.supernet.calibration import check_calibration
from ir2search.supernet.extremes import extremes_of
from ir2search.training import EpochResult, Recipe, TrainingResult, accuracy
from ir2search.training.checkpoint import discard_progress, save_network


@dataclass(frozen=True)
class RunSupernet:
    """The supernet of a run.

    Attributes:
        space: with the shape of the images and the number of classes.
        recipe: how it is trained.
        settings: how many networks a step trains, and how they are evaluated.
        folder: where its files are.
        seed: of its training.
    """

    space: SearchSpace
    recipe: Recipe
    settings: SupernetSettings
    folder: Path
    seed: int

    def train(
        self,
        data: ImageData,
        *,
        device: torch.device,
        teacher: nn.Module | None = None,
        on_epoch: Callable[[EpochResult], None] = lambda result: None,
        on_step: Callable[[float], None] = lambda progress: None,
        should_stop: Callable[[], bool] = lambda: False,
    ) -> TrainingResult:
        """Train it, or continue its training; wait while another process trains it.

        If a checkpoint is damaged, the training starts again. The arguments are those of
        `ir2search.supernet.train_supernet`.

        Raises:
            TrainingDiverged: a loss was not finite.
            Interrupted: ``should_stop`` returned true.
        """

        def trained() -> TrainingResult:
            return train_supernet(
                self.space,
                self.recipe,
                data,
                self.folder,
                seed=self.seed,
                settings=self.settings,
                device=device,
                teacher=teacher,
                on_epoch=on_epoch,
                on_step=on_step,
                should_stop=should_stop,
            )

        with waited_for(self.folder, should_stop):
            try:
                return trained()
            except CheckpointError:
                discard_progress(self.folder)
                return trained()
            except TrainingDiverged as error:
                raise TrainingDiverged(f"the supernet: {error}") from None

    def open(self, data: ImageData, device: torch.device) -> OpenSupernet:
        """Read it after its training.

        Raises:
            RunError: it is not trained, or was trained for another space or other images.
        """
        supernet = load_supernet(self.folder, self.space, data)
        supernet.network.to(device)
        batches = calibration_batches(data, self.settings.calibration, device)
        return OpenSupernet(supernet, data, batches, device, self.recipe.epochs)


@dataclass(frozen=True)
class OpenSupernet:
    """A trained supernet in memory.

    Attributes:
        supernet: the shared weights.
        data: the images.
        batches: normalised training images that give the statistics of BatchNorms.
        device: where networks are evaluated.
        epochs: of its training.
    """

    supernet: Supernet
    data: ImageData
    batches: list[Tensor]
    device: torch.device
    epochs: int

    def network(self, candidate: Candidate) -> TappedNetwork:
        """A candidate's network with a copy of its part of the weights, ready for evaluation."""
        return calibrated_subnet(self.supernet, candidate, self.batches)

    def inherit(self, candidate: Candidate, folder: Path) -> TrainingResult:
        """Measure a candidate with its part of the weights, and keep them in ``folder``.

        Returns:
            One row, whose accuracy is on the validation split. There is no learning curve.

        Raises:
            WeightsError: the network gives logits that are not finite.
        """
        start = time.perf_counter()
        network = self.network(candidate)
        found = accuracy(network, self.data, self.data.validation.to(self.device))
        save_network(network, folder / BEST)
        seconds = time.perf_counter() - start
        return TrainingResult((EpochResult(self.epochs, 0.0, found, 0.0, 0.0, seconds),))


def run_supernet(study: Study, folder: Path, data: ImageData) -> RunSupernet | None:
    """The supernet of a run; None if the study has none. ``folder`` is the run's."""
    section = study.supernet
    if section is None:
        return None
    return RunSupernet(
        space=study.space.with_data(data.image, data.classes),
        recipe=replace(study.recipe, epochs=section.epochs),
        settings=SupernetSettings(random=section.random, calibration=section.calibration),
        folder=folder.resolve() / SUPERNET,
        seed=derive_seed(study.seed, "supernet"),
    )


def supernet_curve(folder: Path) -> list[EpochResult]:
    """The learning curve of a run's supernet; empty if it has none. ``folder`` is the run's."""
    return read_curve(folder / SUPERNET / CURVE)


def check_supernet(study: Study, data: ImageData) -> None:
    """Check that a study's space has a supernet on its images, if the study asks for one.

    Raises:
        SpaceError: the networks of the space do not share their weights.
        StudyError: there are too few images to calibrate.
    """
    if study.supernet is None:
        return
    try:
        extremes_of(study.space.with_data(data.image, data.classes))
    except SpaceError as error:
        raise SpaceError(f"{study.source}: [space] {error}") from None
    check_calibration(data, study.supernet.calibration)
