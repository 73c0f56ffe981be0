from __future__ import annotations

import os
import shutil
import signal
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

import ir2search as ir
from ir2search.errors import RunError
from ir2search.files import locked
from ir2search.runs import Run

Told = list[tuple[str, int, int]]


@pytest.fixture
def run_copy(finished_run: Path, tmp_path: Path) -> Path:
    return shutil.copytree(finished_run, tmp_path / "quick")


def telling(told: Told) -> Callable[[str, int, int], None]:
    return lambda what, done, total: told.append((what, done, total))


def test_a_variant_is_trained_once_and_like_a_trial(run_copy: Path) -> None:
    number = int(ir.front(run_copy)["number"].iloc[0])
    candidate, data, told = Run.open(run_copy).candidate(number), ir.run_data(run_copy), Told()
    network = ir.train_variant(run_copy, candidate, data, device="cpu", on_epoch=telling(told))
    assert told == [("network", 1, 2), ("network", 2, 2)]
    of_trial = load_file(run_copy / "trials" / str(number) / "best.safetensors")
    for name, tensor in network.state_dict().items():
        assert torch.equal(tensor, of_trial[name]), "the same seed, recipe and data"
    again = ir.train_variant(run_copy, candidate, data, device="cpu", on_epoch=telling(told))
    assert len(told) == 2, "what is trained is loaded"
    assert torch.equal(again(torch.ones(1, 1, 8, 8)), network.eval()(torch.ones(1, 1, 8, 8)))


def test_further_seeds_have_other_weights_and_their_own_folders(run_copy: Path) -> None:
    candidate, data = Run.open(run_copy).candidate(0), ir.run_data(run_copy)
    networks = [
        ir.train_variant(run_copy, candidate, data, further_seed=seed, device="cpu")
        for seed in range(3)
    ]
    weights = {sum(p.sum().item() for p in network.parameters()) for network in networks}
    assert len(weights) == 3
    place = run_copy / "variants" / candidate.id
    assert {path.name for path in (place / "seeds").iterdir()} == {"1", "2"}


def test_a_variant_can_be_stopped_and_continued(run_copy: Path) -> None:
    candidate, data = replace(Run.open(run_copy).candidate(0), threshold=0.7), ir.run_data(run_copy)
    told = Told()
    ir.train_variant(run_copy, candidate, data, until=1, device="cpu", on_epoch=telling(told))
    assert told == [("network", 1, 2)]

    def interrupt(what: str, done: int, total: int) -> None:
        os.kill(os.getpid(), signal.SIGINT)

    other = replace(candidate, threshold=0.6)
    with pytest.raises(KeyboardInterrupt):
        ir.train_variant(run_copy, other, data, device="cpu", on_epoch=interrupt)
    for begun in (candidate, other):
        told.clear()
        ir.train_variant(run_copy, begun, data, device="cpu", on_epoch=telling(told))
        assert told == [("network", 2, 2)]


def test_a_variant_that_another_process_trains_is_waited_for(run_copy: Path) -> None:
    candidate, data = replace(Run.open(run_copy).candidate(0), threshold=0.7), ir.run_data(run_copy)
    place = run_copy / "variants" / candidate.id
    training = threading.Thread(target=lambda: ir.train_variant(run_copy, candidate, data))
    with locked(place):
        training.start()
        training.join(2)
        assert training.is_alive()
        assert not (place / "curve.jsonl").exists()
    training.join(60)
    assert (place / "best.safetensors").exists()


def test_images_of_another_run_are_refused(
    quick: dict[str, Any], write_study: Callable[[dict[str, Any]], Path], tmp_path: Path
) -> None:
    from PIL import Image

    def images(name: str, shade: int) -> Path:
        for split in ("train", "test"):
            for label in ("a", "b"):
                place = tmp_path / name / split / label
                place.mkdir(parents=True)
                for number in range(6):
                    Image.new("L", (8, 8), shade + number).save(place / f"{number}.png")
        return tmp_path / name

    quick["data"] = {"source": "folder", "validation": 0.4}
    quick["trials"] = 1
    run = tmp_path / "runs" / "quick"
    ir.run(ir.load_study(write_study(quick)), run, data=images("own", 10), device="cpu")
    assert len(ir.run_data(run, tmp_path / "own").validation) > 0
    with pytest.raises(RunError, match="was run on other images than the data folder holds now"):
        ir.run_data(run, images("others", 90))
    with pytest.raises(RunError, match="was run on other images than the data folder holds now"):
        ir.analyze(run, data=tmp_path / "others", images=2, device="cpu")
