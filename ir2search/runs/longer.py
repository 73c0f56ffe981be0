"""Train a network of a run for more epochs, in a folder of its own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ir2search import text
from ir2search.errors import RunError
from ir2search.extensions import check_trusted
from ir2search.files import copy_file
from ir2search.observers import all_observers
from ir2search.runs.layout import BEST, CURVE
from ir2search.runs.run import Run
from ir2search.seeds import training_seed
from ir2search.space import Candidate
from ir2search.training import pick_device
from ir2search.training.layout import LAST, PRETRAINING
from ir2search.training.recipe import Recipe
from ir2search.zoo import load_teacher
from ir2search.zoo.observer import TrainingObserver
from ir2search.zoo.progress import TrainingProgress
from ir2search.zoo.single import TrainedNetwork, train_in_folder


@dataclass(frozen=True)
class LongerTraining:
    """The training of a trial's network for more epochs.

    Attributes:
        number: of the trial.
        candidate: its network.
        recipe: that of the trial, with more epochs; a pretraining stays as it was.
        done: epochs of the trial's checkpoint, from which the training continues; 0 without one.
        is_exact: whether the result is that of one training of this recipe, because its schedules
            are the same in the epochs that are done.
    """

    number: int
    candidate: Candidate
    recipe: Recipe
    done: int
    is_exact: bool

    @property
    def sentence(self) -> str:
        """Where the training begins, and what that means for the schedules."""
        epochs = self.recipe.epochs
        if not self.done:
            count = text.counted(epochs, "epoch")
            return f"trial {self.number} has no checkpoint to continue: {count} from scratch"
        begins = f"trial {self.number} continues after epoch {self.done} of {epochs}"
        if self.is_exact:
            return f"{begins}, as one training of {epochs} epochs"
        rate = self.recipe.with_values(dict(self.candidate.recipe)).rate(self.done)
        return (
            f"{begins}; its schedules are now those of {epochs} epochs (the learning rate is "
            f"{rate:.2g} again), so the result differs from one training of {epochs} epochs"
        )


def plan_longer(run: Run, which: str, epochs: int) -> LongerTraining:
    """How a trained trial of a run is trained for ``epochs`` epochs in total.

    Args:
        run: the run.
        which: ``"best"``, ``"knee"`` or the number of a trained trial.
        epochs: of the recipe, without those of a pretraining.

    Raises:
        RunError: there is no such trial, or it is trained for as many epochs already.
    """
    number = run.pick(which)
    candidate, before = run.candidate(number), run.study.recipe
    has_checkpoint = (run.folder_of(number) / LAST).exists()
    done = len(run.curve(number)) if has_checkpoint else 0
    if epochs <= done:
        raise RunError(
            f"{run.folder}: trial {number} is trained for {text.counted(done, 'epoch')} already; "
            "give more epochs"
        )
    recipe = replace(before, epochs=epochs)
    return LongerTraining(
        number, candidate, recipe, done, _begin_alike(before, recipe, candidate, done)
    )


def train_longer(
    run: Run | str | Path,
    which: str,
    epochs: int,
    folder: str | Path | None = None,
    *,
    data: str | Path | None = None,
    device: str = "auto",
    observer: TrainingObserver | Sequence[TrainingObserver] | None = None,
    progress: bool = True,
    should_stop: Callable[[], bool] = lambda: False,
) -> TrainedNetwork:
    """Train the network of a trial for more epochs, or continue that; the run is not changed.

    The training starts from a copy of the trial's checkpoint, with the seed and the images of the
    trial. `LongerTraining.sentence` says what this means for the schedules of the recipe.

    Args:
        run: the run, or its folder.
        which: ``"best"``, ``"knee"`` or the number of a trained trial.
        epochs: as for `plan_longer`.
        folder: of this training; by default see `longer_folder`.
        data: folder of the images, if they have moved.
        device: as for `ir2search.train_network`.
        observer: one or several, which are told what happens. If one fails, the training goes on.
        progress: show a bar in a notebook or a terminal.
        should_stop: called before each step; True interrupts the training.

    Raises:
        InputError: the run, the trial, the folder or the data is wrong.
        Interrupted: ``should_stop`` returned True; the same call continues the training.
    """
    run = Run.of(run)
    plan = plan_longer(run, which, epochs)
    target = longer_folder(run, plan.number) if folder is None else Path(folder)
    if target.resolve().is_relative_to(run.folder.resolve()):
        raise RunError(f"{target}: is in the folder of the run; choose another folder")
    check_trusted(run.folder, run.study.modules)
    where = pick_device(device)
    with all_observers(TrainingObserver, observer, TrainingProgress, progress) as observers:
        images = run.data(data)
        return train_in_folder(
            target,
            plan.candidate,
            plan.recipe,
            images,
            seed=training_seed(run.study.seed, plan.candidate.id),
            device=where,
            teacher=load_teacher(plan.recipe, images.image, images.classes),
            observer=observers,
            should_stop=should_stop,
            begin=lambda: _copy_checkpoint(run.folder_of(plan.number), target),
            origin={"run": str(run.folder.resolve()), "trial": plan.number},
        )


def longer_folder(run: Run, number: int) -> Path:
    """The folder ``train-NAME-NUMBER`` beside a run."""
    return run.folder.with_name(f"train-{run.folder.resolve().name}-{number}")


def _copy_checkpoint(trial: Path, target: Path) -> None:
    """Copy what a training continues from, unless it was done; the last file completes it."""
    if not (trial / LAST).exists() or (target / LAST).exists():
        return
    names = [Path(folder, name) for folder in (PRETRAINING, ".") for name in (BEST, CURVE, LAST)]
    for name in names:
        try:
            if (trial / name).exists():
                copy_file(trial / name, target / name)
        except OSError as error:
            raise RunError(f"{trial / name}: cannot be copied: {error.strerror}") from None


def _begin_alike(before: Recipe, longer: Recipe, candidate: Candidate, done: int) -> bool:
    """Whether two recipes that differ in their epochs are the same in the first ``done`` ones."""
    if before.epochs == longer.epochs:
        return True
    is_sharpened = "tanh" in (candidate.estimator, candidate.weight_estimator)
    own = [each.with_values(dict(candidate.recipe)) for each in (before, longer)]
    schedules = [
        [(each.rate(at), each.threshold(1.0, at), each.side(at)) for at in range(done)]
        for each in own
    ]
    return not is_sharpened and schedules[0] == schedules[1]
