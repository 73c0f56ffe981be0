from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

import ir2search as ir
from ir2search.data import DataConfig, ImageData
from ir2search.errors import StudyError
from ir2search.training.sizes import shrunk

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> ImageData:
    data = ir.load_data(DataConfig(size=16), None, tmp_path_factory.mktemp("cache"), 0)
    return replace(data, train=data.train.first(64), validation=data.validation.first(32))


@pytest.mark.parametrize(
    ("side", "share", "expected"),
    [(32, 1.0, 32), (32, 0.5, 16), (32, 0.7, 24), (16, 0.1, 4), (224, 0.57, 128), (28, 0.99, 28)],
)
def test_sides_fit_the_strides_of_the_network(side: int, share: float, expected: int) -> None:
    assert shrunk(torch.zeros(2, 3, side, side), share).shape == (2, 3, expected, expected)


def test_a_smaller_image_shows_the_same() -> None:
    ramp = torch.linspace(-1, 1, 32).expand(1, 1, 32, 32)
    smaller = shrunk(ramp, 0.5)
    assert torch.allclose(
        smaller[..., 1:-1], ramp.unflatten(3, (16, 2)).mean(4)[..., ::2, 1:-1], atol=0.02
    )
    assert shrunk(ramp, 1.0) is ramp


def test_images_grow_over_the_first_two_thirds_of_the_epochs() -> None:
    recipe = ir.Recipe(epochs=9, first_side=0.5)
    assert [recipe.side(epoch) for epoch in (0, 3, 6, 8)] == [0.5, 0.75, 1.0, 1.0]
    assert ir.Recipe(epochs=9).side(0) == 1.0


class Sizes:
    """The sides of the images that a network is trained on, and validated on."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        from ir2search.models.network import TappedNetwork

        self.seen: list[tuple[bool, int]] = []
        forward = TappedNetwork.logits_and_features

        def spy(network: TappedNetwork, images: torch.Tensor) -> Any:
            self.seen.append((network.training, images.shape[-1]))
            return forward(network, images)

        monkeypatch.setattr(TappedNetwork, "logits_and_features", spy)


def test_early_epochs_are_trained_on_smaller_images_and_validated_on_whole_ones(
    digits: ImageData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = ir.Recipe(epochs=3, batch_size=64, lr=0.02, crop_padding=1, first_side=0.5)
    candidate = ir.Candidate(depth=8, width=0.25, image=(1, 16, 16), threshold=0.1)
    sizes = Sizes(monkeypatch)
    ir.train(candidate, recipe, digits, tmp_path, seed=0, device=CPU)
    trained = list(dict.fromkeys(side for training, side in sizes.seen if training))
    assert trained == [8, 12, 16]


def test_a_backbone_of_one_size_is_refused_with_the_reason(
    digits: ImageData, tmp_path: Path
) -> None:
    candidate = ir.Candidate(backbone="cifar-vgg", width=0.125, image=(1, 16, 16), depth=7, taps=())
    recipe = ir.Recipe(epochs=1, batch_size=64, first_side=0.5)
    with pytest.raises(StudyError, match="does not take smaller images, here of 8"):
        ir.train(candidate, recipe, digits, tmp_path, seed=0, device=CPU)


def test_only_some_epochs_and_the_last_are_validated(digits: ImageData, tmp_path: Path) -> None:
    recipe = ir.Recipe(epochs=5, batch_size=64, lr=0.02, crop_padding=1, validate_every=2)
    candidate = ir.Candidate(depth=8, width=0.25, image=(1, 16, 16))
    ir.train(candidate, recipe, digits, tmp_path, seed=0, device=CPU, until=1)
    result = ir.train(candidate, recipe, digits, tmp_path, seed=0, device=CPU)
    validated = [row.epoch for row in result.curve if row.validation_accuracy is not None]
    assert validated == [1, 2, 4, 5], "the first call ended after epoch 1"
    assert result.accuracy == max(row.validation_accuracy or 0 for row in result.curve)
    assert result.best.epoch in validated
    assert (tmp_path / "best.safetensors").exists()


@pytest.mark.usefixtures("figures_once")
def test_a_run_whose_epochs_are_not_all_validated_has_curves_and_a_report(
    quick: dict[str, Any], tmp_path: Path
) -> None:
    from ir2search.study.loading import parse_study

    quick |= {"trials": 2, "recipe": {**quick["recipe"], "epochs": 3, "validate_every": 2}}
    ir.run(parse_study(quick, "a.toml"), tmp_path / "run", device="cpu")
    run = ir.Run.open(tmp_path / "run")
    curve = run.curve(0)
    assert [row.validation_accuracy is None for row in curve] == [True, False, False]
    assert ir.trials(run).loc[0, "accuracy"] == max(row.validation_accuracy or 0 for row in curve)
    ir.write_report(run)
