"""Train one network in its own folder.

::

    FOLDER/
      training.json  environment.json      the settings, and the machine
      candidate.json  cost.json
      curve.jsonl  best.safetensors  last.safetensors
      test.json                            after the training
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import torch
from torch import nn

from ir2search.costs import cost
from ir2search.data import ImageData
from ir2search.environment import add_session
from ir2search.errors import RunError
from ir2search.files import digest_of, has_files, locked, read_json, write_json
from ir2search.observers import all_observers
from ir2search.space import Candidate
from ir2search.training import EpochResult, accuracy, load_network, pick_device, train
from ir2search.training.layout import (
    BEST,
    CANDIDATE_FILE,
    COST_FILE,
    ENVIRONMENT_FILE,
    TEST_FILE,
)
from ir2search.training.recipe import Recipe
from ir2search.training.weights import starting_weights
from ir2search.validation import checked
from ir2search.zoo.images import images_for
from ir2search.zoo.named_recipes import named_recipe
from ir2search.zoo.networks import named_candidate, presets
from ir2search.zoo.observer import TrainingObserver
from ir2search.zoo.progress import TrainingProgress
from ir2search.zoo.shipped import is_shipped, shipped_names, shipped_network
from ir2search.zoo.teacher import load_teacher

SETTINGS = "training.json"


@dataclass(frozen=True)
class TrainedNetwork:
    """A trained network and its accuracy.

    Attributes:
        candidate: the network.
        folder: the folder with its weights.
        best: the epoch whose weights are kept.
        test_accuracy: accuracy of these weights on the test images, from 0 to 1.
        test_images: number of test images.
    """

    candidate: Candidate
    folder: Path
    best: EpochResult
    test_accuracy: float
    test_images: int

    def as_dict(self) -> dict[str, Any]:
        """All attributes by name, as values for JSON."""
        return asdict(self) | {"candidate": self.candidate.as_dict(), "folder": str(self.folder)}


def train_network(
    what: str,
    folder: str | Path,
    *,
    data: str | Path | None = None,
    recipe: str | Recipe | None = None,
    epochs: int | None = None,
    weights: str | Path | None = None,
    threshold: float | None = None,
    seed: int = 0,
    device: str = "auto",
    observer: TrainingObserver | Sequence[TrainingObserver] | None = None,
    progress: bool = True,
    should_stop: Callable[[], bool] = lambda: False,
) -> TrainedNetwork:
    """Train one network, or continue its training, then evaluate it on the test images.

    Args:
        what: a preset, a trained network of `zoo`, a ``candidate.json`` or a trial's folder. The
            first two get the data's number of channels and classes; any other must fit the data.
        folder: the folder of this training; created if it is missing. Decoded images are cached
            beside it.
        data: a data folder; None for the included digits. Images are resized to the network's
            size. Images for ImageNet networks are streamed.
        recipe: a recipe, or the name of one of `recipes`. The default is the own recipe of a preset
            or of a network of the zoo, or else the paper's recipe for ResNet-20.
        epochs: number of epochs of each stage; None for the recipe's.
        weights: where the training starts: a network of `zoo` or a file of weights, see
            `ir2search.training.starting_weights`; None for random weights.
        threshold: threshold of the restriction in this training, 0 for none; None for the
            network's own.
        seed: seed of all random numbers, also of the choice of the validation images. Weights
            should continue with the seed that they were trained with.
        device: ``"auto"``, ``"cpu"``, ``"cuda"``, ``"cuda:1"``, ...
        observer: one or several, which are told what happens. If one fails, the training goes on.
        progress: show a bar in a notebook or a terminal; nothing is shown anywhere else.
        should_stop: called before each step; True interrupts the training.

    Raises:
        InputError: the network, the recipe, the folder or the data is wrong.
        Interrupted: ``should_stop`` returned True; the same call continues the training.
    """
    folder, torch_device = Path(folder), pick_device(device)
    candidate = named_candidate(what)
    if threshold is not None:
        candidate = replace(candidate, threshold=threshold)
    own = dict(candidate.recipe)
    chosen = _recipe(what, recipe, epochs).with_values(own, f"{what}: recipe")
    with all_observers(TrainingObserver, observer, TrainingProgress, progress) as observers:
        images = images_for(candidate, data, folder.parent / ".cache", seed)
        if what in presets() or what in shipped_names():
            shape = (images.image[0], *candidate.image[1:])
            candidate = replace(candidate, image=shape, classes=images.classes)
        images.check_fit(candidate, what, included=data is None)
        file = None if weights is None else _weights_file(weights)
        return train_in_folder(
            folder,
            candidate,
            chosen,
            images,
            seed=seed,
            device=torch_device,
            teacher=load_teacher(chosen, candidate.image, candidate.classes),
            observer=observers,
            should_stop=should_stop,
            weights=file,
        )


def train_in_folder(
    folder: Path,
    candidate: Candidate,
    recipe: Recipe,
    images: ImageData,
    *,
    seed: int,
    device: torch.device,
    teacher: nn.Module | None,
    observer: TrainingObserver,
    should_stop: Callable[[], bool],
    weights: Path | None = None,
    begin: Callable[[], None] = lambda: None,
    origin: Mapping[str, Any] = MappingProxyType({}),
) -> TrainedNetwork:
    """Train a network in its own folder, or continue that, and evaluate it on the test images.

    Args:
        folder: the folder.
        candidate: the network.
        recipe: the hyperparameters.
        images: the images.
        seed: seed of all random numbers.
        device: the device.
        teacher: the teacher, if the recipe has a distillation.
        observer: is told what happens.
        should_stop: called before each step; True interrupts the training.
        weights: a file of weights to start from.
        begin: called before the training, with the folder locked.
        origin: further values for ``training.json``, such as the trial that the network is from.

    Raises:
        RunError: the folder has something else.
        Interrupted: ``should_stop`` returned True.
    """
    _check_folder(folder)
    start = None if weights is None else starting_weights(candidate, weights)
    settings = {
        "candidate": candidate.id,
        "data": images.fingerprint,
        "seed": seed,
        "recipe": asdict(recipe),
        "weights": None if weights is None else digest_of(weights),
    }
    with locked(folder), ExitStack() as at_end:
        at_end.callback(observer.on_training_end)
        _write_settings(folder, candidate, settings, origin)
        add_session(folder / ENVIRONMENT_FILE, seed, device)
        begin()
        observer.on_training(folder, candidate, recipe)
        result = train(
            candidate,
            recipe,
            images,
            folder,
            seed=seed,
            start=start,
            device=device,
            teacher=teacher,
            on_epoch=observer.on_training_epoch,
            on_step=observer.on_training_step,
            should_stop=should_stop,
        )
        tested = _tested(candidate, images, folder, device)
        found = result.best, tested.test_accuracy, tested.images
        trained = TrainedNetwork(candidate, folder, *found)
        observer.on_trained(trained)
    return trained


def _tested(candidate: Candidate, images: ImageData, folder: Path, device: torch.device) -> _Tested:
    """The accuracy of the best weights on the test images, which is measured once."""
    if not (folder / TEST_FILE).exists():
        test = images.read_test().to(device)
        network = load_network(candidate, folder / BEST).to(device)
        score = accuracy(network, images, test)
        write_json(folder / TEST_FILE, {"test_accuracy": score, "images": len(test)})
    return checked(read_json(folder / TEST_FILE), _Tested, folder / TEST_FILE)


@dataclass(frozen=True)
class _Tested:
    test_accuracy: float
    images: int


def _recipe(what: str, recipe: str | Recipe | None, epochs: int | None) -> Recipe:
    if recipe is None and what in shipped_names():
        trained = shipped_network(what).training
        recipe, epochs = trained.recipe, epochs or trained.epochs
    if recipe is None:
        recipe = what if what in presets() else Recipe()
    chosen = named_recipe(recipe) if isinstance(recipe, str) else recipe
    return chosen if epochs is None else _with_epochs(chosen, epochs)


def _weights_file(weights: str | Path) -> Path:
    """The file of a network of the zoo, or the given file."""
    name = str(weights)
    return shipped_network(name).weights if is_shipped(name) else Path(weights)


def _with_epochs(recipe: Recipe, epochs: int) -> Recipe:
    first = recipe.pretraining and _with_epochs(recipe.pretraining, epochs)
    return replace(recipe, epochs=epochs, pretraining=first)


def _check_folder(folder: Path) -> None:
    """Check that the folder is new, empty, or of an earlier training."""
    if folder.exists() and not folder.is_dir():
        raise RunError(f"{folder}: is not a folder; choose another")
    if has_files(folder) and not (folder / SETTINGS).exists():
        if (folder / ".lock").exists():
            with locked(folder):  # fails while another process starts a training there
                pass
        raise RunError(f"{folder}: has files but no {SETTINGS}; choose another folder")


def _write_settings(
    folder: Path, candidate: Candidate, settings: dict[str, Any], origin: Mapping[str, Any]
) -> None:
    """Write the settings of this training, or check that they equal those of the folder."""
    file = folder / SETTINGS
    if not file.exists():
        write_json(folder / CANDIDATE_FILE, candidate.as_dict())
        write_json(folder / COST_FILE, cost(candidate).as_dict())
        write_json(file, settings | dict(origin))
        return
    default = asdict(Recipe())  # of fields that an earlier version did not have
    saved = checked(read_json(file), dict[str, Any], file)
    checked(saved.get("recipe", {}), dict[str, Any], file)
    flat = [{**default, **values, **values.get("recipe", {})} for values in (settings, saved)]
    for name in [name for name in flat[0] if name != "recipe"]:
        new, old = (values.get(name) for values in flat)
        if new != old:
            raise RunError(
                f"{folder}: was trained with other settings: {name} was {old!r} and is now "
                f"{new!r}; choose another folder"
            )
