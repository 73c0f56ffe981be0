import multiprocessing
import os
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch.nn.functional import cross_entropy

import ir2search as ir
from ir2search.errors import InputError
from ir2search.supernet import (
    Supernet,
    SupernetSettings,
    calibrated_subnet,
    calibration_batches,
    load_supernet,
    train_supernet,
)
from ir2search.supernet.copies import FlatParameters, SubnetCopies

CPU = torch.device("cpu")
RECIPE = ir.Recipe(
    epochs=4, batch_size=128, optimizer="muon", lr=0.05, fixed_norms=True, crop_padding=1
)
SPACE = ir.SearchSpace(
    {"depth": 8, "fusion_ratio": 4},
    {
        "width": ir.Choice((0.25, 0.5)),
        "threshold": ir.Choice((0.0, 0.9)),
        "fusion": ir.Choice(("dense", "compact")),
        "tap_stem": ir.Choice((True, False)),
    },
).with_data((1, 8, 8), 10)


pytestmark = pytest.mark.xdist_group("supernet")  # its fixtures are made once


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> ir.ImageData:
    config = ir.DataConfig(source="digits", size=8, validation=0.2)
    return ir.load_data(config, None, tmp_path_factory.mktemp("cache"), 0)


@pytest.fixture(scope="module")
def trained(digits: ir.ImageData, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("trained")
    train_supernet(SPACE, RECIPE, digits, folder, seed=1, device=CPU)
    return folder


def weights_of(folder: Path, data: ir.ImageData) -> dict[str, torch.Tensor]:
    return load_supernet(folder, SPACE, data).network.state_dict()


@torch.no_grad()
def losses(supernet: Supernet, data: ir.ImageData) -> list[float]:
    """Losses of the largest and the smallest network on training images."""
    batches, found = calibration_batches(data, 512, RECIPE.augmentation, CPU), []
    images, labels = data.train.take(torch.arange(512))
    for candidate in (supernet.largest, supernet.smallest):
        logits = calibrated_subnet(supernet, candidate, batches)(data.normalise(images))
        found.append(float(cross_entropy(logits, labels)))
    return found


def test_training_teaches_the_largest_and_the_smallest_network(
    trained: Path, digits: ir.ImageData
) -> None:
    torch.manual_seed(0)
    before = losses(Supernet(SPACE), digits)
    after = losses(load_supernet(trained, SPACE, digits), digits)
    assert all(new < old for new, old in zip(after, before, strict=True))


def _train_and_die(folder: Path, data: ir.ImageData) -> None:
    def die(progress: float) -> None:
        if progress > 1.5:
            os.kill(os.getpid(), 9)

    train_supernet(SPACE, RECIPE, data, folder, seed=1, device=CPU, on_step=die)


def test_a_killed_training_ends_with_the_same_weights(
    trained: Path, digits: ir.ImageData, tmp_path: Path
) -> None:
    child = multiprocessing.get_context("fork").Process(
        target=_train_and_die, args=(tmp_path / "killed", digits)
    )
    child.start()
    child.join()
    assert child.exitcode == -9
    result = train_supernet(SPACE, RECIPE, digits, tmp_path / "killed", seed=1, device=CPU)
    assert len(result.curve) == RECIPE.epochs
    killed, whole = weights_of(tmp_path / "killed", digits), weights_of(trained, digits)
    assert all(torch.equal(killed[name], values) for name, values in whole.items())


def test_the_gradient_of_shared_weights_is_that_of_the_subnet() -> None:
    """Against autograd through the slices themselves."""
    torch.manual_seed(0)
    supernet = Supernet(SPACE)
    candidate = SPACE.candidate(
        {"width": 0.25, "threshold": 0.0, "fusion": "compact", "tap_stem": True}
    )
    images = torch.randn(8, 1, 8, 8)
    shared = FlatParameters(supernet.network)
    copy = SubnetCopies(supernet).get(candidate)
    copy.load_weights(shared)
    copy.network(images).square().mean().backward()
    copy.add_gradients(shared)
    vector = shared.values.clone().requires_grad_()
    parts = {}
    for name, own in copy.network.named_parameters():
        start = sum(len(each.flatten()) for each in parts.values())
        parts[name] = vector[copy.places[start : start + own.numel()]].view_as(own)
    logits = torch.func.functional_call(copy.network, parts, images)
    logits.square().mean().backward()
    assert vector.grad is not None
    torch.testing.assert_close(shared.gradients, vector.grad, rtol=1e-5, atol=1e-7)
    assert 0 < shared.gradients.count_nonzero() < len(shared.gradients)


def test_a_moving_average_is_evaluated(digits: ir.ImageData, tmp_path: Path) -> None:
    recipe = replace(RECIPE, epochs=1, ema=0.5)
    result = train_supernet(SPACE, recipe, digits, tmp_path, seed=1, device=CPU)
    assert result.accuracy > 0


def test_a_supernet_of_another_space_or_other_images_is_refused(
    trained: Path, digits: ir.ImageData
) -> None:
    other = replace(SPACE, searched={**SPACE.searched, "width": ir.Choice((0.25, 0.75))})
    with pytest.raises(InputError, match=r"was trained for another space; choose another folder"):
        load_supernet(trained, other, digits)
    with pytest.raises(InputError, match=r"was trained on other images"):
        load_supernet(trained, SPACE, replace(digits, fingerprint="other"))
    with pytest.raises(InputError, match="has no supernet; train one first"):
        load_supernet(trained / "absent", SPACE, digits)


def test_too_few_images_to_calibrate_are_refused(digits: ir.ImageData, tmp_path: Path) -> None:
    settings = SupernetSettings(calibration=10_000)
    with pytest.raises(InputError, match=r"calibration: must be at most the \d+ training images"):
        train_supernet(SPACE, RECIPE, digits, tmp_path, seed=1, settings=settings, device=CPU)
