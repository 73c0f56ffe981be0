from __future__ import annotations

import copy
import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from sklearn.linear_model import LinearRegression
from torch import nn

from ir2search.data import Split
from ir2search.information.chain import Chain
from ir2search.information.images import Images
from ir2search.information.noise_ratio import decibels, graph_ratios, local_ratios
from ir2search.models.network import TappedNetwork
from ir2search.nn import BinaryConv2d, sign
from ir2search.space import Candidate

Make = Callable[[Candidate], TappedNetwork]
Small = Callable[..., Candidate]


def images(count: int, seed: int) -> Images:
    generator = torch.Generator().manual_seed(seed)
    pixels = torch.randn(count, 1, 8, 8, generator=generator)
    return Images(Split(pixels, torch.arange(count) % 10), lambda normalised: normalised)


def test_decibels_by_hand() -> None:
    assert [decibels(ratio) for ratio in (1, 10, 1000, 0.1)] == pytest.approx([0, 10, 30, -10])
    assert math.isnan(decibels(0))
    assert math.isnan(decibels(math.inf))


def test_local_noise_is_what_a_scale_and_a_shift_of_each_channel_leave(
    small: Small, untrained: Make
) -> None:
    network, some = untrained(small()), images(40, 1)
    taken: dict[str, np.ndarray] = {}

    def keep(name: str) -> Callable[[nn.Module, tuple[torch.Tensor]], None]:
        return lambda _, given: taken.__setitem__(name, given[0])

    for name, module in network.named_modules():
        if isinstance(module, BinaryConv2d):
            module.register_forward_pre_hook(keep(name))
    with torch.no_grad():
        network(some.whole()[0])
    inputs = dict(taken)
    found = local_ratios(network, some, some, at_once=16)
    assert [each.layer for each in found] == list(inputs)
    for each in found:
        layer, x = network.get_submodule(each.layer), inputs[each.layer]
        assert isinstance(layer, BinaryConv2d)
        with torch.no_grad():
            pair = [
                nn.functional.conv2d(v, w, None, layer.stride, 1).double().movedim(1, 0).flatten(1)
                for v, w in ((x, layer.weight), (sign(x), sign(layer.weight)))
            ]
        signal = noise = 0.0
        for exact, binary in zip(*pair, strict=True):
            explained = np.corrcoef(exact, binary)[0, 1] ** 2
            signal += len(exact) * exact.var(correction=0).item()
            noise += len(exact) * exact.var(correction=0).item() * (1 - explained)
        assert each.signal.sum() == pytest.approx(signal)
        assert each.noise.sum() == pytest.approx(noise, rel=1e-5)


def test_graph_noise_is_what_a_linear_regression_from_training_images_leaves(
    small: Small, untrained: Make
) -> None:
    network, twin = untrained(small()), untrained(small().twin())
    measured, fitting = images(30, 1), images(80, 2)
    found = {each.layer: each for each in graph_ratios(network, twin, measured, fitting, 32)}
    assert list(found) == list(Chain(network).cuts)[1:], "all layers but the input"
    with torch.no_grad():
        maps = [
            {
                name: values.movedim(1, -1).flatten(0, -2).double().numpy()
                for name, values in Chain(each).maps(some.whole()[0])[0].items()
            }
            for each in (network, twin)
            for some in (fitting, measured)
        ]
    for name, each in found.items():
        own, own_measured, real, real_measured = (values[name] for values in maps)
        model = LinearRegression().fit(own, real)
        noise = np.square(real_measured - model.predict(own_measured)).sum()
        signal = np.square(real_measured - real.mean(axis=0)).sum()
        assert each.noise.sum() == pytest.approx(noise, rel=1e-3, abs=1e-6 * signal), name
        assert each.signal.sum() == pytest.approx(signal)


def test_a_network_with_its_channels_in_another_order_has_no_noise(
    small: Small, untrained: Make
) -> None:
    network = untrained(small(taps=()))
    other = copy.deepcopy(network)
    order = torch.randperm(4)
    stem = other.get_submodule("stem")
    for tensor in stem.state_dict().values():
        if tensor.ndim:
            tensor.copy_(tensor[order].clone())
    ratios = graph_ratios(network, other, images(20, 1), images(60, 2), at_once=64)
    (first, *_) = ratios
    assert decibels(first.signal.sum() / first.noise.sum()) > 50
