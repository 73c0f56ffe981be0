from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from torch.nn import functional

from ir2search.data import DataConfig, ImageData, load_data
from ir2search.errors import TrainingDiverged
from ir2search.nn import restrict
from ir2search.space import Candidate, build
from ir2search.training import (
    Interrupted,
    Recipe,
    TrainingResult,
    accuracy,
    load_network,
    train,
)
from ir2search.training.checkpoint import load_progress
from ir2search.training.loop import EpochRunner
from ir2search.training.optimizers import make_optimizer

RECIPE = Recipe(epochs=3, batch_size=64, optimizer="adamw", lr=0.02, crop_padding=1, flip=False)
SMALL = Candidate(depth=8, width=0.25, threshold=0.9, image=(1, 8, 8))
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> ImageData:
    return load_data(DataConfig(size=8, validation=0.2), None, tmp_path_factory.mktemp("c"), 0)


@pytest.fixture(scope="module")
def few(digits: ImageData) -> ImageData:
    """Data of which an epoch has 4 steps and leaves some images out."""
    return replace(digits, train=digits.train.first(280), validation=digits.validation.first(100))


def run(
    data: ImageData,
    folder: Path,
    recipe: Recipe = RECIPE,
    candidate: Candidate = SMALL,
    seed: int = 0,
    should_stop: Callable[[], bool] = lambda: False,
) -> TrainingResult:
    return train(candidate, recipe, data, folder, seed=seed, device=CPU, should_stop=should_stop)


def without_seconds(result: TrainingResult) -> list[object]:
    return [replace(row, seconds=0.0) for row in result.curve]


def weights(folder: Path, name: str = "last") -> dict[str, torch.Tensor]:
    from safetensors.torch import load_file

    return load_file(folder / f"{name}.safetensors")


def assert_equal(one: Path, other: Path) -> None:
    for name in ("last", "best"):
        first, second = weights(one, name), weights(other, name)
        assert first.keys() == second.keys()
        assert all(torch.equal(first[key], second[key]) for key in first)


def test_a_small_network_learns_real_digits(digits: ImageData, tmp_path: Path) -> None:
    recipe = replace(RECIPE, epochs=8)
    result = run(digits, tmp_path, recipe, Candidate(depth=8, width=0.5, image=(1, 8, 8)))
    assert result.best.validation_accuracy > 0.6, "chance is 0.1"
    assert result.curve[-1].loss < result.curve[0].loss / 1.5
    assert [row.epoch for row in result.curve] == list(range(1, 9))


def test_equal_seeds_give_equal_weights(few: ImageData, tmp_path: Path) -> None:
    first = run(few, tmp_path / "a")
    second = run(few, tmp_path / "b")
    assert without_seconds(first) == without_seconds(second)
    assert_equal(tmp_path / "a", tmp_path / "b")
    run(few, tmp_path / "c", seed=1)
    name = "network.stem.0.weight"
    assert not torch.equal(weights(tmp_path / "a")[name], weights(tmp_path / "c")[name])


def stops_at(call: int) -> Callable[[], bool]:
    calls: Iterator[bool] = iter([*[False] * call, True])
    return lambda: next(calls)


@pytest.mark.parametrize(
    ("optimizer", "call"), [("sgd", 0), ("sgd", 2), ("sgd", 5), ("adam", 5), ("adamw", 7)]
)
def test_an_interrupted_training_gives_the_uninterrupted_result(
    few: ImageData, tmp_path: Path, optimizer: str, call: int
) -> None:
    """It stops at the start, in the first epoch and in the second."""
    recipe = replace(RECIPE, epochs=2, optimizer=optimizer)
    expected = run(few, tmp_path / "whole", recipe)
    with pytest.raises(Interrupted):
        run(few, tmp_path / "parts", recipe, should_stop=stops_at(call))
    found = run(few, tmp_path / "parts", recipe)
    assert without_seconds(found) == without_seconds(expected)
    assert_equal(tmp_path / "whole", tmp_path / "parts")


@pytest.fixture(scope="module")
def plain(few: ImageData, tmp_path_factory: pytest.TempPathFactory) -> TrainingResult:
    return run(few, tmp_path_factory.mktemp("plain"), replace(RECIPE, epochs=2))


@pytest.mark.parametrize(
    "options",
    [
        {"optimizer": "sgd", "nesterov": True},
        {"optimizer": "muon", "fixed_norms": True},
        {"ema": 0.9},
        {"flip": True, "alternating_flip": True, "cutout": 3, "padding": "reflect"},
        {"stem_start": "whitened", "norm_bias_factor": 8.0, "norm_weight_decay": 0.0},
        {"pretraining": Recipe(epochs=1, batch_size=64, ema=0.5)},
    ],
    ids=str,
)
def test_each_option_can_be_interrupted_and_changes_the_result(
    few: ImageData, tmp_path: Path, plain: TrainingResult, options: dict[str, Any]
) -> None:
    recipe = replace(RECIPE, epochs=2, **options)
    expected = run(few, tmp_path / "whole", recipe)
    with pytest.raises(Interrupted):
        run(few, tmp_path / "parts", recipe, should_stop=stops_at(7))
    found = run(few, tmp_path / "parts", recipe)
    assert without_seconds(found) == without_seconds(expected)
    assert_equal(tmp_path / "whole", tmp_path / "parts")
    assert without_seconds(plain) != without_seconds(expected)


def test_a_finished_training_is_not_repeated(few: ImageData, tmp_path: Path) -> None:
    first = run(few, tmp_path)
    assert run(few, tmp_path, should_stop=lambda: True) == first


def test_the_curve_on_disk_is_the_result(few: ImageData, tmp_path: Path) -> None:
    result = run(few, tmp_path)
    table = pd.read_json(tmp_path / "curve.jsonl", lines=True, precise_float=True)
    for name in ("epoch", "loss", "validation_accuracy", "restricted_share", "lr"):
        assert table[name].tolist() == [getattr(row, name) for row in result.curve]
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {"curve.jsonl", "last.safetensors", "best.safetensors"}, "and no pickle"


def test_the_best_epochs_weights_are_kept(few: ImageData, tmp_path: Path) -> None:
    result = run(few, tmp_path, replace(RECIPE, lr=0.1, schedule="constant"))
    network = load_network(SMALL, tmp_path / "best.safetensors")
    assert accuracy(network, few, few.validation) == result.best.validation_accuracy
    assert result.best.validation_accuracy == max(row.validation_accuracy for row in result.curve)


def test_one_step_equals_the_papers(few: ImageData, tmp_path: Path) -> None:
    """One batch with SGD: the loss is the mean over original and restricted images."""
    one = few.train.first(64)
    data = replace(few, train=one)
    recipe = Recipe(
        epochs=1, batch_size=64, lr=0.1, momentum=0.0, weight_decay=0.0, label_smoothing=0.1,
        crop_padding=1, flip=False, schedule="constant",
    )  # fmt: skip
    result = run(data, tmp_path, recipe)

    torch.manual_seed(0)
    network = build(SMALL)
    generator = torch.Generator().manual_seed(0)
    (images, labels) = next(one.batches(64, recipe.augmentation, generator))
    x = data.normalise(images)
    logits, features = network.logits_and_features(x)
    blanked = restrict(x, features, 0.9)
    losses = [
        functional.cross_entropy(scores, labels, label_smoothing=0.1)
        for scores in (logits, network(blanked))
    ]
    loss = (losses[0] + losses[1]) / 2
    loss.backward()
    assert result.curve[0].loss == pytest.approx(float(loss.detach()), rel=1e-6)
    assert result.curve[0].restricted_share == pytest.approx(float((blanked == 0).float().mean()))
    assert 0 < result.curve[0].restricted_share < 1
    after = weights(tmp_path)
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None
        expected = parameter.detach() - 0.1 * parameter.grad
        torch.testing.assert_close(after[f"network.{name}"], expected, msg=name)


@pytest.mark.parametrize("threshold", [0.0, 0.9])
def test_a_step_on_another_device_never_waits_for_it(few: ImageData, threshold: float) -> None:
    """Tensors of the meta device have no values, so code that reads one (and would wait) fails."""
    network = build(SMALL).to("meta").train()
    split = few.train
    runner = EpochRunner(
        SMALL, RECIPE, few, split, split, network, make_optimizer(RECIPE, network), None
    )
    images, labels = (tensor[:64].to("meta") for tensor in (split.images, split.labels))
    loss, _ = runner.loss(few.normalise(images), labels, threshold)
    loss.backward()
    assert network.get_parameter("stem.0.weight").grad is not None


def test_restriction_that_changes_no_pixel_gives_the_curve_of_two_passes(
    few: ImageData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    candidate = replace(SMALL, threshold=0.01)
    one_pass = run(few, tmp_path / "one", candidate=candidate)
    assert {row.restricted_share for row in one_pass.curve} == {0.0}
    monkeypatch.setattr(torch, "equal", lambda one, other: False)
    two_passes = run(few, tmp_path / "two", candidate=candidate)
    for one, two in zip(one_pass.curve, two_passes.curve, strict=True):
        assert one.loss == pytest.approx(two.loss, rel=1e-4)


def test_a_threshold_of_zero_restricts_nothing(few: ImageData, tmp_path: Path) -> None:
    result = run(few, tmp_path, candidate=replace(SMALL, threshold=0.0))
    assert {row.restricted_share for row in result.curve} == {0.0}


def test_a_loss_that_is_not_finite_ends_the_training(few: ImageData, tmp_path: Path) -> None:
    recipe = replace(RECIPE, optimizer="sgd", lr=1e30)
    with pytest.raises(TrainingDiverged, match="the loss of epoch 1 is not finite; lower the lr"):
        run(few, tmp_path, recipe)
    assert not list(tmp_path.iterdir())


def test_training_does_not_change_torchs_random_state(few: ImageData, tmp_path: Path) -> None:
    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)
    run(few, tmp_path, replace(RECIPE, epochs=1))
    assert torch.equal(torch.rand(3), expected)


def test_the_state_of_the_optimizer_is_restored(few: ImageData, tmp_path: Path) -> None:
    run(few, tmp_path)
    network = build(SMALL)
    optimizer = make_optimizer(RECIPE, network)
    curve = load_progress(tmp_path, network, optimizer)
    assert len(curve) == 3
    stored = weights(tmp_path)
    for index, state in optimizer.state_dict()["state"].items():
        assert torch.equal(state["exp_avg"], stored[f"optimizer.{index}.exp_avg"])
        assert state["step"] == 3 * 4
