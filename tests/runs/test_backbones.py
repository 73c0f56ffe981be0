from __future__ import annotations

import os
import signal
import threading
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

import ir2search as ir
from ir2search.data import ImageData, load_data
from ir2search.errors import RunError, StudyError, TrainingDiverged
from ir2search.files import locked, read_json_lines
from ir2search.runs.backbones import SharedBackbone, shared_backbone
from ir2search.seeds import derive_seed
from ir2search.space import Candidate, build, read_candidate
from ir2search.study.loading import parse_study
from ir2search.study.serialise import study_as_dict
from ir2search.training import EpochResult, Interrupted, Recipe
from ir2search.training.loop import EpochRunner

CPU = torch.device("cpu")


@pytest.fixture
def values(quick: dict[str, Any]) -> dict[str, Any]:
    return {**quick, "warm_start": {"epochs": 3}}


def start(values: dict[str, Any], folder: Path, observer: ir.RunObserver | None = None) -> None:
    ir.run(parse_study(values, "a.toml"), folder, device="cpu", observer=observer)


@pytest.fixture
def begun(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Candidate, int, dict[str, Tensor]]]:
    """Candidate, number and initial weights of every epoch that begins."""
    epochs: list[tuple[Candidate, int, dict[str, Tensor]]] = []
    genuine = EpochRunner.run

    def run(runner: EpochRunner, number: int, *rest: Any, **named: Any) -> EpochResult:
        weights = {name: tensor.clone() for name, tensor in runner.network.state_dict().items()}
        epochs.append((runner.candidate, number, weights))
        return genuine(runner, number, *rest, **named)

    monkeypatch.setattr(EpochRunner, "run", run)
    return epochs


def test_candidates_of_one_backbone_train_it_once(
    values: dict[str, Any], tmp_path: Path, begun: list[Any]
) -> None:
    start(values, tmp_path / "run")
    table = ir.trials(tmp_path / "run")
    trained = table[table["state"] == "trained"]
    folders = list((tmp_path / "run" / "backbones").iterdir())
    assert len(trained) == 5
    assert {folder.name for folder in folders} == {
        read_candidate(tmp_path / f"run/trials/{number}/candidate.json").backbone_only().id
        for number in trained["number"]
    }
    assert len(begun) == 3 * len(folders) + 2 * len(trained)
    for folder in folders:
        assert len(read_json_lines(folder / "curve.jsonl")) == 3
        backbone = read_candidate(folder / "candidate.json")
        assert backbone.id == folder.name
        assert backbone.taps == ()
        assert backbone.threshold == 0
    page = " ".join(ir.write_report(tmp_path / "run").read_text().split())
    assert f"5 candidates trained from {len(folders)} shared backbones" in page
    assert f"({len(begun)} epochs," in page
    check_first_weights(tmp_path / "run", begun)


def check_first_weights(run: Path, begun: list[tuple[Candidate, int, dict[str, Tensor]]]) -> None:
    """Check that each training starts from its backbone, and from a new recovery."""
    own = {read_candidate(file).id for file in run.glob("trials/*/candidate.json")}
    started = [(c, weights) for c, epoch, weights in begun if c.id in own and epoch == 0]
    assert len(started) >= 5
    recoveries = 0
    for candidate, weights in started:
        if candidate == candidate.backbone_only():
            continue  # it may be the backbone's own training
        place = run / "backbones" / candidate.backbone_only().id
        shared = load_file(place / "best.safetensors")
        torch.manual_seed(derive_seed(0, "train", candidate.id))
        fresh = build(candidate).state_dict()
        for name, tensor in weights.items():
            expected = fresh[name] if name.startswith("recovery.") else shared[name]
            assert torch.equal(tensor, expected)
            recoveries += name.startswith("recovery.")
    assert recoveries


class StopAtStep(ir.RunObserver):
    """Sends Ctrl-C at the n-th training step; steps of shared backbones count."""

    def __init__(self, step: int) -> None:
        self.left = step

    def on_step(self, *arguments: object) -> None:
        self.left -= 1
        if self.left == 0:
            os.kill(os.getpid(), signal.SIGINT)


@pytest.mark.parametrize("rungs", [False, True])
def test_an_interrupted_study_finds_the_same(
    values: dict[str, Any], tmp_path: Path, rungs: bool
) -> None:
    """Interrupted twice: while a backbone is trained, and while a candidate is trained."""
    values["trials"] = 3
    if rungs:
        values["rungs"] = {"minimum": 1, "factor": 2}
    start(values, tmp_path / "through")
    for step in (20, 25):
        with pytest.raises(KeyboardInterrupt):
            start(values, tmp_path / "cut", StopAtStep(step))
    start(values, tmp_path / "cut")
    through, cut = (
        ir.trials(folder).drop(columns="seconds")
        for folder in (tmp_path / "through", tmp_path / "cut")
    )
    pd.testing.assert_frame_equal(through, cut)
    for file in (tmp_path / "through").glob("backbones/*/best.safetensors"):
        same = tmp_path / "cut" / file.relative_to(tmp_path / "through")
        assert file.read_bytes() == same.read_bytes()


def test_each_further_seed_has_a_backbone_of_its_own(
    values: dict[str, Any], tmp_path: Path
) -> None:
    start({**values, "trials": 2, "confirm": {"seeds": 2}}, tmp_path / "run")
    for number in ir.front(tmp_path / "run")["number"]:
        candidate = read_candidate(tmp_path / f"run/trials/{number}/candidate.json")
        place = tmp_path / "run" / "backbones" / candidate.backbone_only().id
        places = [place, place / "seeds" / "1", place / "seeds" / "2"]
        assert len({(file / "best.safetensors").read_bytes() for file in places}) == 3


def test_the_epochs_of_backbones_count_towards_the_limit(
    values: dict[str, Any], tmp_path: Path
) -> None:
    limited = {**values, "parallel": 1, "stop": {"epochs": 5}}
    for _ in range(2):
        status = ir.run(parse_study(limited, "a.toml"), tmp_path / "run", device="cpu")
        assert status.counts["trained"] == 1, "3 epochs of its backbone and 2 of its own"


@pytest.mark.usefixtures("no_figures")
def test_the_twin_of_an_analysis_starts_from_a_backbone_too(
    values: dict[str, Any], tmp_path: Path, begun: list[Any]
) -> None:
    start({**values, "trials": 1}, tmp_path / "run")
    begun.clear()
    told: list[str] = []
    ir.analyze(
        tmp_path / "run",
        images=4,
        methods=("grad_cam",),
        device="cpu",
        on_step=lambda what, done, total: told.append(f"{what} {done}/{total}"),
    )
    assert told[:5] == [
        *(f"training the twin's backbone {epoch}/3" for epoch in (1, 2, 3)),
        *(f"training the twin {epoch}/2" for epoch in (1, 2)),
    ]
    assert "training the network without recovery's backbone 1/3" not in told, "it is the run's"
    backbone, twin, *_ = begun
    assert backbone[0].weights == twin[0].weights == "real"


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> ImageData:
    from ir2search.data import DataConfig

    return load_data(DataConfig(size=8, validation=0.2), None, tmp_path_factory.mktemp("data"), 0)


SMALL = Candidate(depth=8, width=0.125, image=(1, 8, 8), fusion="dense")
RECIPE = Recipe(epochs=2, optimizer="adamw", lr=0.02, crop_padding=1, flip=False)


def test_a_process_waits_while_another_one_trains_the_backbone(
    images: ImageData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ir2search.runs.turns.POLL", 0.01)
    backbone = SharedBackbone(SMALL.backbone_only(), RECIPE, tmp_path / "shared", 0)
    looks, found = threading.Semaphore(0), list[dict[str, Tensor]]()

    def wait() -> None:
        found.append(
            backbone.weights(images, device=CPU, should_stop=lambda: bool(looks.release()))
        )

    with locked(backbone.folder):
        with pytest.raises(Interrupted):
            backbone.weights(images, device=CPU, should_stop=lambda: True)
        waiting = threading.Thread(target=wait)
        waiting.start()
        assert looks.acquire(timeout=60)
        assert not found
        assert not (backbone.folder / "curve.jsonl").exists()
    waiting.join(timeout=60)
    assert set(found[0]) == set(build(SMALL.backbone_only()).state_dict())


@pytest.mark.parametrize("name", ["best.safetensors", "last.safetensors"])
def test_a_damaged_backbone_is_trained_again(images: ImageData, tmp_path: Path, name: str) -> None:
    backbone = SharedBackbone(SMALL.backbone_only(), RECIPE, tmp_path / "shared", 0)
    epochs = list[EpochResult]()
    first = backbone.weights(images, device=CPU)
    (backbone.folder / name).write_bytes(b"damaged")
    again = backbone.weights(images, device=CPU, on_epoch=epochs.append)
    assert len(epochs) == 2
    assert all(torch.equal(first[key], again[key]) for key in first)


def test_a_backbone_that_diverges_fails_its_candidates(
    values: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def diverge(*arguments: object, **named: object) -> None:
        raise TrainingDiverged("the loss of epoch 1 is not finite; lower the lr")

    monkeypatch.setattr("ir2search.runs.backbones.train", diverge)
    start({**values, "trials": 2}, tmp_path / "run")
    outcomes = ir.trials(tmp_path / "run").query("state == 'failed'")["outcome"]
    assert set(outcomes) == {
        "diverged: its shared backbone: the loss of epoch 1 is not finite; lower the lr"
    }


def test_warm_start_is_optional_and_cannot_change_in_a_run(
    quick: dict[str, Any], values: dict[str, Any], tmp_path: Path, finished_run: Path
) -> None:
    assert shared_backbone(parse_study(quick, "a.toml"), tmp_path, SMALL) is None
    assert not (finished_run / "backbones").exists()
    study = parse_study(values, "a.toml")
    assert parse_study(study_as_dict(study), "a.toml") == study
    start({**values, "trials": 1}, tmp_path / "run")
    with pytest.raises(RunError, match=r"\[warm_start\] epochs was 3 and now is 4"):
        start({**values, "warm_start": {"epochs": 4}}, tmp_path / "run")
    with pytest.raises(RunError, match="made by another study file: warm_start was"):
        start(quick, tmp_path / "run")


@pytest.mark.parametrize(
    ("section", "message"),
    [
        ({"epochs": 0}, r"\[warm_start\] epochs: must be at least 1, but got 0$"),
        ({"epochs": 1.5}, r"\[warm_start\] epochs: must be a whole number, but got 1.5$"),
        ({}, r"\[warm_start\] epochs: is missing; add it$"),
        ({"epoch": 3}, r"\[warm_start\] epoch: there is no such key; did you mean 'epochs'\?$"),
        (3, r"warm_start: must be a table, \[warm_start\], but got 3$"),
    ],
)
def test_a_wrong_value_is_named(quick: dict[str, Any], section: object, message: str) -> None:
    with pytest.raises(StudyError, match=message):
        parse_study({**quick, "warm_start": section}, "a.toml")


def test_a_recipe_of_two_stages_is_refused(values: dict[str, Any]) -> None:
    values["recipe"]["pretraining"] = {"epochs": 1}
    with pytest.raises(StudyError, match=r"a.toml: \[warm_start\] needs a recipe of one stage"):
        parse_study(values, "a.toml")
