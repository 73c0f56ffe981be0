"""What all trainings of a study have in common, made anew in every process that trains."""

from __future__ import annotations

from pathlib import Path

from ir2search.data import load_data
from ir2search.extensions import load_modules
from ir2search.search.executors.job import TrainingContext
from ir2search.study.schema import Study
from ir2search.zoo import load_teacher


def open_context(study: Study, cache: Path, folder: Path | None = None) -> TrainingContext:
    """Read a study's images and its teacher.

    Args:
        study: whose ``data.path`` says where its folder of images is, if it has one.
        cache: the folder of decoded images.
        folder: of images, in place of ``data.path``.

    Raises:
        DataError: the images cannot be read.
        WeightsError: the teacher's weights cannot.
    """
    load_modules(study.modules)
    images = load_data(study.data, folder, cache, study.seed)
    teacher = load_teacher(study.recipe, images.image, images.classes)
    return TrainingContext(study.recipe, images, teacher, study.modules)
