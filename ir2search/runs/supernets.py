"""The supernet of a run: trained once, and the source of all candidates' weights.

In the run's folder::

    supernet/    supernet.json, curve.jsonl, *.safetensors
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Unpack

import torch
from torch import Tensor

from ir2search.data import ImageData
from ir2search.errors import SpaceError, StudyError
from ir2search.models.network import TappedNetwork
from ir2search.runs.curves import read_curve
from ir2search.runs.layout import BEST, CURVE, SUPERNET
from ir2search.runs.turns import train_in_turn
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
from ir2search.training import EpochResult, Recipe, TrainingOptions, TrainingResult, accuracy
from ir2search.training.checkpoint import save_network


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

    def train(self, data: ImageData, **options: Unpack[TrainingOptions]) -> TrainingResult:
        """Train it, or continue its training; wait while another process trains it.

        If a checkpoint is damaged, the training starts again. The options are those of
        `ir2search.supernet.train_supernet`.

        Raises:
            TrainingDiverged: a loss was not finite.
            Interrupted: ``should_stop`` returned true.
        """

        def training() -> TrainingResult:
            return train_supernet(
                self.space,
                self.recipe,
                data,
                self.folder,
                seed=self.seed,
                settings=self.settings,
                **options,
            )

        should_stop = options.get("should_stop", lambda: False)
        return train_in_turn(training, self.folder, "the supernet", should_stop)

    def open(self, data: ImageData, device: torch.device) -> OpenSupernet:
        """Read it after its training.

        Raises:
            RunError: it is not trained, or was trained for another space or other images.
        """
        supernet = load_supernet(self.folder, self.space, data)
        supernet.network.to(device)
        augmentation, count = self.recipe.augmentation, self.settings.calibration
        batches = calibration_batches(data, count, augmentation, device)
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
    try:
        check_calibration(data, study.supernet.calibration)
    except StudyError as error:
        raise StudyError(f"{study.source}: {error}") from None
