"""The scripts of maintainers in tools/."""

from __future__ import annotations

import json
import runpy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import ir2search as ir
from ir2search.files import write_json
from ir2search.runs import Run
from ir2search.zoo import shipped

SMALL = ir.Candidate(depth=8, width=0.125, image=(1, 8, 8))


@pytest.fixture
def add(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """Add a network to an empty zoo; return it."""
    script = runpy.run_path(str(Path(__file__).parents[1] / "tools" / "add_to_zoo.py"))
    monkeypatch.setattr(shipped, "FOLDER", tmp_path / "zoo")

    def call(name: str, folder: Path, first: Path | None = None) -> shipped.ShippedNetwork:
        script["add"](name, folder, out=tmp_path / "zoo", first=first)
        return shipped.shipped_network(name)

    return call


def test_a_training_is_added_with_its_command(add: Callable[..., Any], tmp_path: Path) -> None:
    (tmp_path / "small.json").write_text(json.dumps(SMALL.as_dict()))
    trained = ir.train_network(
        str(tmp_path / "small.json"), tmp_path / "own", recipe="digits", epochs=1, seed=3
    )
    found = add("tiny", tmp_path / "own")
    assert found.candidate == SMALL
    assert found.training.test_accuracy == trained.test_accuracy
    assert found.training.validation_accuracy == trained.best.validation_accuracy
    assert found.training.command == "ir2search train tiny --recipe digits --epochs 1 --seed 3"
    card = found.card.read_text()
    assert f"```console\n{found.training.command}\n```" in card
    assert f"- the first 100 test images: {found.training.first_hundred} are right" in card
    assert ir.zoo()["name"].tolist() == ["tiny"]
    write_json(tmp_path / "own" / "test.json", {"test_accuracy": 0.5, "images": 360})
    with pytest.raises(SystemExit, match=r"its test accuracy is 0.5, here it is"):
        add("tiny", tmp_path / "own")


def test_a_training_that_started_from_another_one_has_both_commands(
    add: Callable[..., Any], tmp_path: Path
) -> None:
    file, first, second = tmp_path / "small.json", tmp_path / "first", tmp_path / "second"
    file.write_text(json.dumps(SMALL.as_dict()))
    ir.train_network(str(file), first, recipe="digits", epochs=1)
    best = first / "best.safetensors"
    ir.train_network(str(file), second, recipe="digits", epochs=2, weights=best)
    with pytest.raises(SystemExit, match="give --first"):
        add("tiny", second)
    training = add("tiny", second, first).training
    assert training.epochs == 3
    assert training.command == (
        "ir2search train tiny --recipe digits --epochs 1 --seed 0 --out runs/first && ir2search "
        "train tiny --recipe digits --epochs 2 --seed 0 --weights runs/first/best.safetensors"
    )


def test_a_trial_on_the_front_is_added(add: Callable[..., Any], finished_run: Path) -> None:
    run = Run.open(finished_run)
    number = run.pick("best")
    found = add("best", run.folder_of(number))
    row = run.front().iloc[0]
    assert (found.training.test_accuracy, found.training.ops) == (row["test_accuracy"], row["ops"])
    assert (found.training.command, found.training.epochs) == ("ir2search run quick", 2)
