"""The context of trainings. Each process that trains opens its own."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import torch
from torch import nn

from ir2search.data import ImageData, Split, StreamedSplit, load_data
from ir2search.extensions import UserModule, load_modules
from ir2search.runs.supernets import OpenSupernet, RunSupernet
from ir2search.study.schema import Study
from ir2search.training import Recipe
from ir2search.zoo import load_teacher


@dataclass
class TrainingContext:
    """What all trainings of a study share.

    Attributes:
        recipe: how candidates are trained.
        data: the images.
        teacher: the network that candidates are distilled from, if the recipe names one.
        modules: the study's modules, which register its own backbones.
    """

    recipe: Recipe
    data: ImageData
    teacher: nn.Module | None
    modules: tuple[UserModule, ...] = ()

    _supernet: tuple[RunSupernet, OpenSupernet] | None = None

    def supernet(self, asked: RunSupernet, device: torch.device) -> OpenSupernet:
        """A supernet in this process's memory; read on first use.

        Raises:
            RunError: it is not trained, or was trained for another space or other images.
        """
        if self._supernet is None or self._supernet[0].folder != asked.folder:
            self._supernet = asked, asked.open(self.data, device)
        return self._supernet[1]

    @cached_property
    def test(self) -> Split | StreamedSplit:
        """The test images; read on first use."""
        return self.data.read_test()


def open_context(study: Study, cache: Path, folder: Path | None = None) -> TrainingContext:
    """Read a study's images and its teacher.

    ``cache`` is a folder for decoded images. ``folder`` has images in place of the study's
    ``data.path``.

    Raises:
        DataError: the images cannot be read.
        WeightsError: the teacher's weights cannot be read.
        StudyError: one of the study's modules fails.
    """
    load_modules(study.modules)
    images = load_data(study.data, folder, cache, study.seed)
    teacher = load_teacher(study.recipe, images.image, images.classes)
    return TrainingContext(study.recipe, images, teacher, study.modules)
