from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

import numpy as np
import pytest
import torch
from torch import nn
from torch.optim.swa_utils import update_bn

from ir2search.data import Split
from ir2search.information.images import Images
from ir2search.information.interventions import (
    Change,
    binarised,
    binarised_layers,
    changes,
    released,
)
from ir2search.information.sweep import classified, passes, sweep
from ir2search.models.network import TappedNetwork
from ir2search.nn import BinaryConv2d, sign
from ir2search.space import Candidate, build

Make = Callable[[Candidate], TappedNetwork]
Small = Callable[..., Candidate]


def images(count: int, seed: int) -> Images:
    generator = torch.Generator().manual_seed(seed)
    pixels = torch.randn(count, 1, 8, 8, generator=generator)
    return Images(Split(pixels, torch.arange(count) % 10), lambda normalised: normalised)


CALIBRATING, MEASURED = images(200, 1), images(70, 2)


def calibrated(network: TappedNetwork) -> TappedNetwork:
    """The network with the statistics of these images, which then move to those of a change."""
    update_bn([some for some, _ in CALIBRATING.batches(64)], network)
    return network.eval()


def by_hand(real: TappedNetwork, signs: dict[str, str]) -> tuple[np.ndarray, np.ndarray]:
    """Correctness and bits of loss of a real network with signs of some weights and inputs.

    BatchNorms are calibrated by torch.
    """
    network = copy.deepcopy(real)
    for name, part in signs.items():
        layer = network.get_submodule(name)
        assert isinstance(layer, BinaryConv2d)
        if part != "activations":
            layer.weight.data = sign(layer.weight.data)
        if part != "weights":
            layer.register_forward_pre_hook(lambda _, given: (sign(given[0]),))
    logits, labels = calibrated(network)(MEASURED.whole()[0]), MEASURED.labels
    loss = nn.functional.cross_entropy(logits, labels, reduction="none") / np.log(2)
    correct = (logits.argmax(dim=1) == labels).double()
    return correct.detach().numpy(), loss.detach().double().numpy()


def test_the_twin_with_one_change_is_that_network_calibrated_by_torch(
    small: Small, untrained: Make
) -> None:
    twin, layers = calibrated(untrained(small().twin())), binarised_layers(build(small()))
    every = changes(twin, layers)
    intervene = partial(binarised, layers=layers)
    own, found = sweep(twin, every, intervene, MEASURED, CALIBRATING, 10_000)
    np.testing.assert_allclose(own.loss, by_hand(twin, {})[1], rtol=0.02, atol=0.02)
    for change, result in zip(every, found, strict=True):
        _, loss = by_hand(twin, dict.fromkeys(change.convolutions, change.part))
        np.testing.assert_allclose(result.loss, loss, rtol=0.05, atol=0.05, err_msg=str(change))


def test_a_binary_network_with_one_release_is_that_network_calibrated_by_torch(
    small: Small, untrained: Make
) -> None:
    network = calibrated(untrained(small()))
    real = build(small().twin())
    real.load_state_dict(network.state_dict())
    every = [each for each in changes(network, binarised_layers(network)) if each.part == "both"]
    _, found = sweep(network, every, released, MEASURED, CALIBRATING, 10_000)
    for change, result in zip(every, found, strict=True):
        others = [name for name in binarised_layers(network) if name not in change.convolutions]
        correct, loss = by_hand(real, dict.fromkeys(others, "both"))
        # a sign can differ where a value is 0 up to rounding, so a few images may
        assert np.median(np.abs(result.loss - loss)) < 0.02, change
        assert abs(result.correct.mean() - correct.mean()) < 0.05


def test_a_sweep_does_not_change_the_network_and_reports_each_pass(
    small: Small, untrained: Make
) -> None:
    network = untrained(small()).train()
    before = copy.deepcopy(network.state_dict())
    every, told = changes(network, binarised_layers(network))[:4], list[str]()
    sweep(network, every, released, MEASURED, CALIBRATING, 50, told.append)
    assert network.training
    assert all(parameter.requires_grad for parameter in network.parameters())
    for name, tensor in network.state_dict().items():
        assert torch.equal(tensor, before[name]), name
    assert len(told) == passes(4, 70, 200, 50) == 4 * (4 + 2)


@pytest.mark.parametrize("shift", [False, True])
def test_no_change_gives_the_unchanged_network(small: Small, untrained: Make, shift: bool) -> None:
    network = untrained(small(shift=shift))

    @contextmanager
    def nothing(network: TappedNetwork, change: Change) -> Iterator[None]:
        yield

    every = changes(network, binarised_layers(network))
    own, found = sweep(network, every, nothing, MEASURED, CALIBRATING, 10_000)
    for result in found:
        assert np.median(np.abs(result.loss - own.loss)) < 0.02
    as_it_is = classified(network, MEASURED, 70)
    np.testing.assert_allclose(own.loss, as_it_is.loss, rtol=1e-4, atol=1e-4)


def test_changes_at_the_same_time_give_what_they_give_one_after_the_other(
    small: Small, untrained: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = calibrated(untrained(small()))
    every = changes(network, binarised_layers(network))
    done: list[list[str]] = []

    def swept(at_once: int) -> list[np.ndarray]:
        monkeypatch.setattr("ir2search.information.parallel._threads", lambda: at_once)
        done.append([])
        own, found = sweep(network, every, released, MEASURED, CALIBRATING, 10_000, done[-1].append)
        return [own.loss, *(each.loss for each in found)]

    np.testing.assert_allclose(swept(3), swept(1), rtol=1e-4, atol=1e-4)
    assert sorted(done[0]) == sorted(done[1])
    assert len(done[0]) == passes(len(every), len(MEASURED), len(CALIBRATING), 10_000)
