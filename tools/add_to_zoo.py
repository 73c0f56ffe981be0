"""Add a trained network to those that ship with the package, or replace it.

    python tools/add_to_zoo.py NAME FOLDER [--data IMAGES] [--data-name CIFAR-10] [--first FOLDER]

FOLDER is what `ir2search train --out FOLDER` wrote, or the folder of a trial on the front of a
shipped study. If it started from the weights of another training, --first is the folder of that
one. The network is not trained again. Its test accuracy is that of the folder; it is
measured once more here, to make sure that these are the same images. Writes NAME.packed, its model
card NAME.packed.md, NAME.safetensors and NAME.json into ir2search/zoo/files.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch

import ir2search as ir
from ir2search.export import shipped_origin
from ir2search.files import digest_of, read_json, write_json
from ir2search.models import TappedNetwork
from ir2search.runs.curves import read_curve
from ir2search.runs.evaluation import network_and_images
from ir2search.runs.layout import BEST, CACHE, CANDIDATE_FILE, CURVE, TEST_FILE
from ir2search.space import Candidate, read_candidate
from ir2search.training import Recipe, accuracy
from ir2search.zoo.pretrained import save_small
from ir2search.zoo.shipped import FOLDER, INCLUDED, TrainingRecord
from ir2search.zoo.single import SETTINGS

HUNDRED = 100


def main() -> None:
    """Read the arguments and write the files of one network."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--data-name", default=INCLUDED)
    parser.add_argument("--first", type=Path)
    given = parser.parse_args()
    add(given.name, given.folder, given.data, given.data_name, first=given.first)


def add(
    name: str,
    folder: Path,
    data: Path | None = None,
    data_name: str = INCLUDED,
    out: Path = FOLDER,
    first: Path | None = None,
) -> None:
    """Write the files of one network.

    Args:
        name: of the network in the zoo.
        folder: of its training, or of a trial.
        data: the folder of its images; None for the included digits.
        data_name: name of the images in tables and on the card.
        out: the folder to write in.
        first: the training from whose weights this one started.
    """
    found, images = network_and_images(str(folder), data, None, folder.parent / CACHE)
    assert isinstance(found, TappedNetwork)
    candidate = read_candidate(folder / CANDIDATE_FILE)
    about = {"candidate": candidate.as_dict(), "images": images.spec(data_name).as_dict()}
    save_small(found, out / f"{name}.safetensors", about)
    network = ir.load_trained(out / f"{name}.safetensors").network
    record = _record(name, folder, candidate, network, images, first)
    _check_equal(network, found, images)
    origin = shipped_origin(name, data_name, record)
    ir.export(network, candidate, images, out / f"{name}.packed", origin=origin)
    write_json(out / f"{name}.json", asdict(record))


def _record(
    name: str,
    folder: Path,
    candidate: Candidate,
    network: TappedNetwork,
    images: ir.ImageData,
    first: Path | None,
) -> TrainingRecord:
    tested, test = read_json(folder / TEST_FILE), images.read_test()
    measured = accuracy(network, images, test)
    if measured != tested["test_accuracy"]:
        sys.exit(f"{folder}: its test accuracy is {tested['test_accuracy']}, here it is {measured}")
    curve = read_curve(folder / CURVE)
    hundred = accuracy(network, images, test.first(HUNDRED))
    return TrainingRecord(
        validation_accuracy=max(row.validation_accuracy or 0 for row in curve),
        test_accuracy=measured,
        test_images=len(test),
        first_hundred=round(HUNDRED * hundred),
        ops=ir.cost(candidate).ops,
        epochs=len(curve) + (0 if first is None else len(read_curve(first / CURVE))),
        **_training(name, folder, candidate, images, first),
    )


def _training(
    name: str, folder: Path, candidate: Candidate, images: ir.ImageData, first: Path | None
) -> dict[str, Any]:
    """The recipe, the seed and the command of a training."""
    if not (folder / SETTINGS).exists():
        study = ir.Run.open(folder.absolute().parent.parent).study
        return {"recipe": None, "seed": study.seed, "command": f"ir2search run {study.name}"}
    settings = read_json(folder / SETTINGS)
    if settings.get("weights") != (None if first is None else digest_of(first / BEST)):
        sys.exit(
            f"{folder}: give --first, the folder of the training from whose weights it started"
        )
    if settings["data"] != images.fingerprint:
        sys.exit(f"{folder}: was trained on other images")
    seed, recipe = settings["seed"], _recipe_name(settings["recipe"], candidate)
    what = next((each for each in ir.presets() if ir.preset(each) == candidate), name)
    command = f"ir2search train {what} --recipe {recipe} --epochs {settings['recipe']['epochs']}"
    data = "" if images.image[0] == 1 else " --data cifar10/"
    command = f"{command} --seed {seed}{data}"
    if first is not None:
        before = _training(name, first, candidate, images, None)["command"]
        command = f"{before} --out runs/first && {command} --weights runs/first/{BEST}"
    return {"recipe": recipe, "seed": seed, "command": command}


def _recipe_name(values: dict[str, Any], candidate: Candidate) -> str:
    trained = Recipe(**values)
    for name, recipe in ir.recipes().items():
        named = recipe.with_values(dict(candidate.recipe))
        if replace(named, epochs=trained.epochs) == trained:
            return name
    sys.exit("no recipe of ir2search/zoo/named_recipes.py has these values; name it there first")


def _check_equal(network: TappedNetwork, trained: TappedNetwork, images: ir.ImageData) -> None:
    """Check that the shipped weights give the logits of the trained ones."""
    pixels, _ = images.validation.take(torch.arange(min(len(images.validation), 1000)))
    with torch.no_grad():
        both = [each(images.normalise(pixels)) for each in (network, trained.eval())]
    if not torch.equal(*both):
        sys.exit("the logits of the shipped weights differ from those of the trained network")


if __name__ == "__main__":
    main()
