"""The optimiser of a recipe: groups of parameters, and Muon for the hidden layers."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from itertools import count
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from ir2search.nn import BinaryConv2d
from ir2search.training.recipe import Recipe

Group = dict[str, Any]  # options of some parameters, which torch's optimisers take


def make_optimizer(recipe: Recipe, network: nn.Module) -> torch.optim.Optimizer:
    """Make the optimiser of all parameters of a network, with the recipe's highest rates."""
    if recipe.optimizer == "muon":
        optimizer = _muon(recipe, network)
    elif recipe.optimizer == "sgd":
        optimizer = torch.optim.SGD(
            _groups(recipe, network, network.parameters()),
            recipe.lr,
            recipe.momentum,
            weight_decay=recipe.weight_decay,
            nesterov=recipe.nesterov and recipe.momentum > 0,
            fused=True,
        )
    else:
        kind = torch.optim.Adam if recipe.optimizer == "adam" else torch.optim.AdamW
        groups = _groups(recipe, network, network.parameters())
        optimizer = kind(groups, recipe.lr, weight_decay=recipe.weight_decay, fused=True)
    set_rate(optimizer, recipe.lr)
    return optimizer


def set_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    """Set the learning rate of each group to ``rate`` times the group's own factor."""
    for group in optimizer.param_groups:
        group["lr"] = rate * group["lr_factor"]


@torch.no_grad()
def fix_norms(network: nn.Module) -> None:
    """Scale each tensor of binarised weights to the norm that it has at initialisation.

    A sign ignores the scale of its input, so the scale only changes how fast signs flip. Kaiming's
    initialisation gives the weights (O, I, k, k) a variance of 2 / (I k k), a norm of sqrt(2 O).
    """
    for weight in binarised_weights(network):
        weight.mul_(math.sqrt(2 * len(weight)) / weight.norm().clamp_min(1e-12))


def binarised_weights(network: nn.Module) -> list[Tensor]:
    """The latent weights of the network's convolutions with binary weights, in order."""
    return [
        module.weight
        for module in network.modules()
        if isinstance(module, BinaryConv2d) and module.binarisation.weights == "binary"
    ]


class Muon(torch.optim.Muon):
    """Torch's Muon, which takes matrices only, for weights of convolutions.

    Weights (O, I, k, k) are seen as a matrix (O, I k k), as in Jordan et al., "Muon: An optimizer
    for hidden layers in neural networks", 2024. The matrices share the memory of the weights.

    Args:
        groups: weights with two or more dimensions, and their options.
        options: arguments of `torch.optim.Muon`.
    """

    def __init__(self, groups: list[Group], **options: Any) -> None:
        self._weights: list[Tensor] = []
        self._matrices: list[Tensor] = []
        flat = []
        for group in groups:
            matrices = [weight.detach().flatten(1) for weight in group["params"]]
            self._weights += group["params"]
            self._matrices += matrices
            flat.append({**group, "params": matrices})
        super().__init__(flat, **options)

    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """Change the weights by one step."""
        for weight, matrix in zip(self._weights, self._matrices, strict=True):
            matrix.grad = None if weight.grad is None else weight.grad.flatten(1)
        loss: float | None = super().step(closure)  # type: ignore[no-untyped-call]
        return loss

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Remove the gradients of the weights."""
        for weight, matrix in zip(self._weights, self._matrices, strict=True):
            weight.grad = matrix.grad = None


class Combined(torch.optim.Optimizer):
    """Several optimisers that step together, each with its own parameters."""

    def __init__(self, *parts: torch.optim.Optimizer) -> None:
        self._parts = parts

    @property
    def param_groups(self) -> list[Group]:  # type: ignore[override]
        """The groups of all parts, in order."""
        return [group for part in self._parts for group in part.param_groups]

    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """Change all parameters by one step; there is no closure."""
        for part in self._parts:
            part.step()

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Remove the gradients of all parameters."""
        for part in self._parts:
            part.zero_grad(set_to_none)

    def state_dict(self) -> dict[str, Any]:
        """The states of all parts, in torch's form; parameters are numbered through all parts."""
        number = count()
        state: dict[int, Any] = {}
        groups: list[Group] = []
        for part in self._parts:
            own = part.state_dict()
            for group in own["param_groups"]:
                numbers = [next(number) for _ in group["params"]]
                pairs = zip(group["params"], numbers, strict=True)
                state |= {new: own["state"][old] for old, new in pairs if old in own["state"]}
                groups.append({**group, "params": numbers})
        return {"state": state, "param_groups": groups}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Load what `state_dict` returned."""
        groups = iter(state_dict["param_groups"])
        for part in self._parts:
            own = [next(groups) for _ in part.param_groups]
            part.load_state_dict({"state": _states_of(own, state_dict), "param_groups": own})


def _states_of(groups: list[Group], state_dict: dict[str, Any]) -> dict[int, Any]:
    states = state_dict["state"]
    return {index: states[index] for g in groups for index in g["params"] if index in states}


def _muon(recipe: Recipe, network: nn.Module) -> torch.optim.Optimizer:
    """Muon for the weights of all layers but the first and the last; AdamW for the rest."""
    layers = [each for each in network.modules() if isinstance(each, nn.Conv2d | nn.Linear)]
    hidden = {layer.weight for layer in layers[1:-1]}
    rest = [parameter for parameter in network.parameters() if parameter not in hidden]
    matrices = _groups(recipe, network, (layer.weight for layer in layers[1:-1]))
    others = _groups(recipe, network, rest, recipe.other_lr / recipe.lr)
    decay = recipe.weight_decay
    adamw = torch.optim.AdamW(others, recipe.lr, weight_decay=decay, fused=True)
    if not hidden:
        return adamw
    return Combined(
        Muon(matrices, lr=recipe.lr, weight_decay=decay, momentum=recipe.momentum), adamw
    )


def _groups(
    recipe: Recipe, network: nn.Module, parameters: Iterable[Tensor], factor: float = 1.0
) -> list[Group]:
    """Some of the network's parameters in groups of equal options, in order.

    ``factor`` multiplies their learning rates.
    """
    own: dict[Tensor, Group] = {parameter: {} for parameter in network.parameters()}
    if recipe.binary_weight_decay is not None:
        for weight in binarised_weights(network):
            own[weight]["weight_decay"] = recipe.binary_weight_decay
    norms = [module for module in network.modules() if isinstance(module, _BatchNorm)]
    if recipe.norm_weight_decay is not None:
        biases = [bias for name, bias in network.named_parameters() if name.endswith("bias")]
        for each in [*(norm.weight for norm in norms), *biases]:
            own[each]["weight_decay"] = recipe.norm_weight_decay
    if recipe.norm_bias_factor != 1:
        for norm in norms:
            own[norm.bias]["lr_factor"] = factor * recipe.norm_bias_factor
    groups: dict[tuple[Any, ...], Group] = {}
    for parameter in parameters:
        options = {"lr_factor": factor, **own[parameter]}
        group = groups.setdefault(tuple(options.items()), {"params": [], **options})
        group["params"].append(parameter)
    return list(groups.values())
