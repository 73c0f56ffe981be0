from __future__ import annotations

from copy import deepcopy
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional

import ir2search as ir
from ir2search.training import Recipe
from ir2search.training.optimizers import Muon, binarised_weights, fix_norms, make_optimizer

SMALL = ir.Candidate(depth=8, width=0.25, image=(1, 8, 8))
LATENT = [f"stage{stage}.{unit}.conv.weight" for stage in (1, 2, 3) for unit in (0, 1)]


def names_of(network: nn.Module, group: dict[str, Any]) -> set[str]:
    names = {parameter.data_ptr(): name for name, parameter in network.named_parameters()}
    return {names[parameter.data_ptr()] for parameter in group["params"]}


@pytest.mark.parametrize(
    ("name", "kind", "expected"),
    [
        ("sgd", torch.optim.SGD, {"momentum": 0.8, "weight_decay": 0.01}),
        ("adam", torch.optim.Adam, {"weight_decay": 0.01}),
        ("adamw", torch.optim.AdamW, {"weight_decay": 0.01}),
    ],
)
def test_an_optimizer_is_made_by_its_name(
    name: Any, kind: type[torch.optim.Optimizer], expected: dict[str, float]
) -> None:
    network = nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2))
    recipe = Recipe(optimizer=name, lr=0.05, momentum=0.8, weight_decay=0.01)
    optimizer = make_optimizer(recipe, network)
    assert type(optimizer) is kind
    (group,) = optimizer.param_groups
    assert group["lr"] == 0.05
    assert {key: group[key] for key in expected} == expected
    assert len(group["params"]) == len(list(network.parameters()))


def test_binary_weights_can_have_their_own_weight_decay() -> None:
    network = ir.build(SMALL)
    recipe = Recipe(weight_decay=1e-5, binary_weight_decay=0.0)
    others, binary = make_optimizer(recipe, network).param_groups
    assert others["weight_decay"] == 1e-5
    assert binary["weight_decay"] == 0.0
    assert names_of(network, binary) == set(LATENT)
    assert len(others["params"]) + len(LATENT) == len(list(network.parameters()))


def test_norms_and_biases_can_have_their_own_decay_and_rate() -> None:
    network = ir.build(SMALL)
    recipe = Recipe(lr=0.1, norm_weight_decay=0.0, norm_bias_factor=64.0)
    groups = make_optimizer(recipe, network).param_groups
    options = {
        name: (group["lr"], group["weight_decay"])
        for group in groups
        for name in names_of(network, group)
    }
    assert len(options) == len(list(network.parameters()))
    assert options["stage1.0.bn.bias"] == (pytest.approx(6.4), 0.0)
    assert options["stage1.0.bn.weight"] == (0.1, 0.0)
    assert options["head.linear.bias"] == (0.1, 0.0)
    assert options["head.linear.weight"] == options[LATENT[0]] == (0.1, 1e-4)


def test_nesterov_is_a_property_of_sgd() -> None:
    network = nn.Linear(2, 2)
    for nesterov in (False, True):
        (group,) = make_optimizer(Recipe(nesterov=nesterov), network).param_groups
        assert group["nesterov"] is nesterov


def test_muon_takes_the_hidden_weights_and_adamw_the_rest() -> None:
    network = ir.build(SMALL)
    muon, adamw = make_optimizer(
        Recipe(optimizer="muon", lr=0.2, other_lr=0.02), network
    ).param_groups
    hidden = names_of(network, muon)
    assert set(LATENT) <= hidden
    assert all(name.startswith(("stage", "recovery")) for name in hidden)
    assert {"stem.0.weight", "head.linear.weight", "stage1.0.bn.weight"} <= names_of(network, adamw)
    assert len(muon["params"]) + len(adamw["params"]) == len(list(network.parameters()))
    assert muon["lr"] == 0.2
    assert adamw["lr"] == pytest.approx(0.02)


def test_muon_on_a_convolution_equals_torchs_on_the_matrix() -> None:
    torch.manual_seed(0)
    weight = nn.Parameter(torch.randn(4, 3, 3, 3))
    matrix = nn.Parameter(weight.detach().clone().flatten(1))
    options: dict[str, Any] = {"lr": 0.1, "momentum": 0.9, "weight_decay": 0.01}
    ours = Muon([{"params": [weight]}], **options)
    torchs = torch.optim.Muon([matrix], **options)
    for _ in range(3):
        images = torch.randn(5, 3, 6, 6)
        for parameter, optimizer in ((weight, ours), (matrix, torchs)):
            optimizer.zero_grad()
            functional.conv2d(images, parameter.view(4, 3, 3, 3)).square().sum().backward()
            optimizer.step()
    torch.testing.assert_close(weight.flatten(1), matrix)


def test_the_state_of_muon_and_adamw_can_be_loaded() -> None:
    recipe = Recipe(optimizer="muon", lr=0.1)

    def step(network: nn.Module, optimizer: torch.optim.Optimizer) -> None:
        images = torch.randn(4, 1, 8, 8, generator=torch.Generator().manual_seed(1))
        optimizer.zero_grad()
        network(images).square().mean().backward()
        optimizer.step()

    first = ir.build(SMALL).train()
    optimizer = make_optimizer(recipe, first)
    step(first, optimizer)
    second = ir.build(SMALL).train()
    second.load_state_dict(first.state_dict())
    other = make_optimizer(recipe, second)
    other.load_state_dict(deepcopy(optimizer.state_dict()))
    step(first, optimizer)
    step(second, other)
    for name, parameter in first.named_parameters():
        assert torch.equal(parameter, second.get_parameter(name)), name


def test_fixed_norms_keep_signs_and_have_the_initial_norm() -> None:
    torch.manual_seed(0)
    network = ir.build(ir.Candidate(depth=8))
    norms = [float(weight.detach().norm()) for weight in binarised_weights(network)]
    signs = [weight.detach().sign() for weight in binarised_weights(network)]
    for weight in binarised_weights(network):
        weight.data *= 7
    stem = network.get_parameter("stem.0.weight").detach().clone()
    fix_norms(network)
    for weight, norm, sign in zip(binarised_weights(network), norms, signs, strict=True):
        assert float(weight.detach().norm()) == pytest.approx(norm, rel=0.1)
        assert torch.equal(weight.sign(), sign)
    assert torch.equal(network.get_parameter("stem.0.weight"), stem)
