"""Train one network by itself, in a folder of its own.

::

    FOLDER/
      training.json  environment.json      what was asked, and where it ran
      candidate.json  cost.json
      curve.jsonl  best.safetensors  last.safetensors
      test.json                            once the training is done
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from ir2search.costs import cost
from ir2search.data import DataConfig, ImageData, load_data
from ir2search.environment import add_session
from ir2search.errors import RunError
from ir2search.files import locked, read_json, write_json
from ir2search.space import Candidate
from ir2search.training import EpochResult, accuracy, load_network, pick_device, train
from ir2search.training.layout import BEST
from ir2search.training.recipe import Recipe
from ir2search.zoo.named_recipes import named_recipe
from ir2search.zoo.networks import named_candidate, presets
from ir2search.zoo.teacher import load_teacher

SETTINGS, TEST = "training.json", "test.json"


@dataclass(frozen=True)
class TrainedNetwork:
    """A network and how well it does.

    Attributes:
        candidate: the network.
        folder: where its weights lie.
        best: the epoch whose weights are kept.
        test_accuracy: of those weights, from 0 to 1.
        test_images: how many it was measured on.
    """

    candidate: Candidate
    folder: Path
    best: EpochResult
    test_accuracy: float
    test_images: int

    def as_dict(self) -> dict[str, Any]:
        """All of it in values that JSON can hold."""
        return {
            "candidate": self.candidate.as_dict(),
            "folder": str(self.folder),
            "best": asdict(self.best),
            "test_accuracy": self.test_accuracy,
            "test_images": self.test_images,
        }


def train_network(
    what: str,
    folder: str | Path,
    *,
    data: str | Path | None = None,
    recipe: str | Recipe | None = None,
    epochs: int | None = None,
    seed: int = 0,
    device: str = "auto",
    on_start: Callable[[Candidate, Recipe], None] = lambda candidate, recipe: None,
    on_epoch: Callable[[EpochResult], None] = lambda result: None,
    on_step: Callable[[float], None] = lambda progress: None,
    should_stop: Callable[[], bool] = lambda: False,
) -> TrainedNetwork:
    """Train one network, or go on with it, and measure it on the test images.

    Args:
        what: a preset, a ``candidate.json`` or a trial's folder. A preset takes the data's number
            of channels and classes; any other network has to fit the data.
        folder: its own folder, made where needed. Decoded images are cached beside it.
        data: a folder of images, which are resized to the network's; the digits that come along
            where left out. Those of networks for ImageNet are streamed.
        recipe: one of `recipes` or a recipe of your own; a preset's own where left out, and for
            others the paper's for ResNet-20.
        epochs: of each stage, in place of the recipe's.
        seed: of everything random.
        device: ``"auto"``, ``"cpu"``, ``"cuda"``, ``"cuda:1"``, ...
        on_start: told the network, as it fits the data, and the recipe.
        on_epoch: see `train`, like all that follow.
        on_step: likewise.
        should_stop: likewise.

    Raises:
        InputError: a network, a recipe, a folder or data that is not as it should be.
        Interrupted: ``should_stop`` said so; the same call goes on.
    """
    folder, where = Path(folder), pick_device(device)
    candidate = named_candidate(what)
    chosen = _recipe(what, recipe, epochs)
    images = _images(candidate, data, folder.parent / ".cache", seed)
    if what in presets():
        shape = (images.image[0], *candidate.image[1:])
        candidate = replace(candidate, image=shape, classes=images.classes)
    images.check_fit(candidate, what)
    _check_claim(folder)
    teacher = load_teacher(chosen, candidate.image, candidate.classes)
    with locked(folder):
        _claim(folder, candidate, chosen, images, seed)
        add_session(folder, seed, where)
        on_start(candidate, chosen)
        result = train(
            candidate,
            chosen,
            images,
            folder,
            seed=seed,
            device=where,
            teacher=teacher,
            on_epoch=on_epoch,
            on_step=on_step,
            should_stop=should_stop,
        )
        if not (folder / TEST).exists():
            test = images.read_test().to(where)
            network = load_network(candidate, folder / BEST).to(where)
            score = accuracy(network, images, test)
            write_json(folder / TEST, {"test_accuracy": score, "images": len(test)})
        tested = read_json(folder / TEST)
    return TrainedNetwork(candidate, folder, result.best, tested["test_accuracy"], tested["images"])


def _recipe(what: str, recipe: str | Recipe | None, epochs: int | None) -> Recipe:
    if recipe is None:
        recipe = what if what in presets() else Recipe()
    chosen = named_recipe(recipe) if isinstance(recipe, str) else recipe
    return chosen if epochs is None else _with_epochs(chosen, epochs)


def _with_epochs(recipe: Recipe, epochs: int) -> Recipe:
    first = recipe.pretraining
    return replace(
        recipe, epochs=epochs, pretraining=None if first is None else _with_epochs(first, epochs)
    )


def _images(candidate: Candidate, data: str | Path | None, cache: Path, seed: int) -> ImageData:
    source: Any = "digits" if data is None else "folder"
    streamed = data is not None and candidate.backbone == "imagenet-resnet"
    config = DataConfig(source=source, size=candidate.image[1], stream=streamed)
    return load_data(config, None if data is None else Path(data), cache, seed)


def _check_claim(folder: Path) -> None:
    if folder.exists() and not folder.is_dir():
        raise RunError(f"{folder}: not a folder; give --out a folder")
    foreign = folder.is_dir() and any(path.name != ".lock" for path in folder.iterdir())
    if foreign and not (folder / SETTINGS).exists():
        raise RunError(f"{folder}: holds files but no {SETTINGS}; choose another --out folder")


def _claim(
    folder: Path, candidate: Candidate, recipe: Recipe, images: ImageData, seed: int
) -> None:
    """Make the folder that of this training, unless it is already."""
    asked: dict[str, Any] = {
        "candidate": candidate.id,
        "data": images.fingerprint,
        "seed": seed,
        "recipe": asdict(recipe),
    }
    file = folder / SETTINGS
    if not file.exists():
        write_json(folder / "candidate.json", candidate.as_dict())
        write_json(folder / "cost.json", cost(candidate).as_dict())
        write_json(file, asked)
        return
    made = read_json(file)
    flat = [{**values, **values.get("recipe", {})} for values in (asked, made)]
    for name in [name for name in flat[0] if name != "recipe"]:
        new, old = (values.get(name) for values in flat)
        if new != old:
            raise RunError(
                f"{folder}: was trained otherwise: {name} was {old!r} and now is {new!r}; "
                "choose another --out folder"
            )
