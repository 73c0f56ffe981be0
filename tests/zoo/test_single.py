from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

import ir2search as ir
from ir2search.errors import CandidateError, DataError, RunError, StudyError
from ir2search.space import Candidate, read_candidate
from ir2search.training import EpochResult, Interrupted, Recipe, accuracy
from ir2search.zoo import TrainedNetwork, train_network

RECIPE = Recipe(epochs=2, batch_size=256, optimizer="adamw", lr=0.01, crop_padding=1)
SMALL = Candidate(depth=8, width=0.125, image=(1, 8, 8))


class Told(ir.TrainingObserver):
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.candidate: Candidate | None = None
        self.recipe: Recipe | None = None
        self.steps: list[float] = []
        self.rows: list[EpochResult] = []
        self.trained: TrainedNetwork | None = None

    def on_training(self, folder: Path, candidate: Candidate, recipe: Recipe) -> None:
        self.candidate, self.recipe = candidate, recipe

    def on_training_step(self, progress: float) -> None:
        self.steps.append(progress)

    def on_training_epoch(self, result: EpochResult) -> None:
        self.rows.append(result)

    def on_trained(self, trained: TrainedNetwork) -> None:
        self.trained = trained


@pytest.fixture
def small(tmp_path: Path) -> str:
    file = tmp_path / "candidate.json"
    file.write_text(json.dumps(SMALL.as_dict()))
    return str(file)


def test_the_folder_has_all_files_of_the_training(small: str, tmp_path: Path) -> None:
    folder, told = tmp_path / "own", Told()
    trained = train_network(small, folder, recipe=RECIPE, observer=told)
    epochs, steps = [row.epoch for row in told.rows], told.steps
    assert epochs == [1, 2]
    assert told.trained == trained
    assert steps == sorted(steps)
    assert steps[0] == 0
    assert 1 < steps[-1] < 2
    assert read_candidate(folder / "candidate.json") == SMALL
    assert json.loads((folder / "cost.json").read_text())["ops"] == ir.cost(SMALL).ops
    session = json.loads((folder / "environment.json").read_text())["sessions"][0]
    assert session["seed"] == 0
    assert session["versions"]["torch"] == torch.__version__
    data = ir.load_data(ir.DataConfig(size=8), None, tmp_path / ".cache", 0)
    network = ir.load_network(SMALL, folder / "best.safetensors")
    assert accuracy(network, data, data.read_test()) == trained.test_accuracy
    assert trained.test_images == len(data.read_test()) == 360
    assert trained.as_dict()["best"]["epoch"] == trained.best.epoch


def test_a_folder_of_a_version_with_fewer_options_is_continued(small: str, tmp_path: Path) -> None:
    first = train_network(small, tmp_path / "a", recipe=RECIPE)
    file = tmp_path / "a" / "training.json"
    settings = json.loads(file.read_text())
    del settings["recipe"]["ema"], settings["recipe"]["cutout"]
    file.write_text(json.dumps(settings))
    assert train_network(small, tmp_path / "a", recipe=RECIPE).best == first.best
    with pytest.raises(RunError, match=r"ema was 0.0 and is now 0.5"):
        train_network(small, tmp_path / "a", recipe=replace(RECIPE, ema=0.5))


@pytest.mark.parametrize(
    ("name", "content"),
    [("training.json", "[]"), ("training.json", '{"recipe": 1}'), ("test.json", "{}")],
)
def test_a_damaged_file_of_a_training_is_named(
    small: str, tmp_path: Path, name: str, content: str
) -> None:
    train_network(small, tmp_path / "a", recipe=RECIPE)
    (tmp_path / "a" / name).write_text(content)
    with pytest.raises(RunError, match=rf"{name}: .*; restore or remove the file"):
        train_network(small, tmp_path / "a", recipe=RECIPE)


def test_a_candidates_own_recipe_is_used(tmp_path: Path) -> None:
    file = tmp_path / "tuned.json"
    file.write_text(json.dumps({**SMALL.as_dict(), "recipe": {"lr": 0.004, "epochs": 1}}))
    with pytest.raises(StudyError, match=r"tuned.json: recipe epochs: must be the same for all"):
        train_network(str(file), tmp_path / "a", recipe=RECIPE)
    file.write_text(json.dumps({**SMALL.as_dict(), "recipe": {"lr": 0.004}}))
    told = Told()
    train_network(str(file), tmp_path / "b", recipe=RECIPE, observer=told)
    assert told.recipe == replace(RECIPE, lr=0.004)


def test_an_interrupted_training_can_be_continued(small: str, tmp_path: Path) -> None:
    calls = iter([False] * 7 + [True])
    with pytest.raises(Interrupted):
        train_network(small, tmp_path / "a", recipe=RECIPE, should_stop=lambda: next(calls))
    assert not (tmp_path / "a" / "test.json").exists()
    first = train_network(small, tmp_path / "a", recipe=RECIPE)
    second = train_network(small, tmp_path / "b", recipe=RECIPE)
    assert first.test_accuracy == second.test_accuracy
    assert first.best.loss == second.best.loss


def test_a_preset_gets_the_channels_and_classes_of_the_data(tmp_path: Path) -> None:
    told = Told()
    with pytest.raises(Interrupted):
        train_network(
            "cifar-resnet20",
            tmp_path / "preset",
            epochs=1,
            observer=told,
            should_stop=lambda: told.candidate is not None,
        )
    assert told.candidate is not None
    assert told.candidate.image == (1, 32, 32)
    assert json.loads((tmp_path / "preset" / "training.json").read_text())["recipe"]["lr"] == 0.11


def test_epochs_apply_to_each_stage(tmp_path: Path) -> None:
    from ir2search.zoo.single import _recipe

    chosen = _recipe("imagenet-resnet18-A", None, 3)
    assert chosen.pretraining is not None
    assert (chosen.epochs, chosen.pretraining.epochs, chosen.total_epochs) == (3, 3, 6)
    assert _recipe("candidate.json", None, None) == Recipe()
    shipped = ir.recipes()["digits"]
    assert _recipe("digits-63k", None, None) == shipped
    assert _recipe("digits-63k", None, 7) == replace(shipped, epochs=7)
    assert _recipe("candidate.json", "cifar-vgg-small", None).lr == 0.08
    with pytest.raises(StudyError, match="did you mean 'cifar-vgg-small'"):
        _recipe("candidate.json", "cifar-vgg-smal", None)


def test_a_network_for_other_data_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    file = tmp_path / "colour.json"
    file.write_text(json.dumps(Candidate(image=(3, 8, 8)).as_dict()))
    with pytest.raises(DataError, match=r"images of 3 x 8 x 8 in 10 .* are images of 1 x 8 x 8"):
        train_network(str(file), tmp_path / "own", recipe=RECIPE)
    assert not (tmp_path / "own").exists()
    (tmp_path / "file").touch()
    (tmp_path / "candidate.json").write_text(json.dumps(SMALL.as_dict()))
    with pytest.raises(RunError, match="is not a folder"):
        train_network(str(tmp_path / "candidate.json"), tmp_path / "file", recipe=RECIPE)


def test_a_training_starts_from_given_weights(small: str, tmp_path: Path) -> None:
    trained = train_network(small, tmp_path / "first", recipe=RECIPE)
    still = replace(RECIPE, epochs=1, lr=1e-12)
    weights = trained.folder / "best.safetensors"
    further = train_network(small, tmp_path / "further", recipe=still, weights=weights)
    assert further.best.validation_accuracy == pytest.approx(
        trained.best.validation_accuracy, abs=0.02
    )
    with pytest.raises(RunError, match="weights was"):
        train_network(small, tmp_path / "further", recipe=still)


def test_a_training_may_have_another_threshold_of_restriction(small: str, tmp_path: Path) -> None:
    trained = train_network(small, tmp_path / "own", recipe=RECIPE, epochs=1, threshold=1.0)
    assert trained.candidate.threshold == 1.0
    assert read_candidate(tmp_path / "own" / "candidate.json").threshold == 1.0
    assert trained.best.restricted_share > 0.1
    with pytest.raises(CandidateError, match="threshold: must be at least 0 and finite"):
        train_network(small, tmp_path / "other", recipe=RECIPE, epochs=1, threshold=-1)
