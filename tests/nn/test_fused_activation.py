"""PReLU, RPReLU and thresholds in the kernels against torch's operations, mostly in float64."""

from __future__ import annotations

import copy
from typing import get_args

import pytest
import torch
from arithmetics import arithmetic_of
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from ir2search.kernels.training import Arithmetic, is_bfloat16, library
from ir2search.nn import Binarisation, BinaryConv2d, ShiftedPReLU, normed

pytestmark = pytest.mark.skipif(library() is None, reason="needs a C++ compiler with OpenMP")

each_arithmetic = pytest.mark.parametrize("arithmetic", get_args(Arithmetic))


def tolerance(arithmetic: Arithmetic) -> float:
    """The error of a gradient, relative to its largest value."""
    with arithmetic_of(arithmetic):
        return 2e-2 if is_bfloat16() else 1e-4


def shifted_prelu(channels: int, seed: int = 0) -> ShiftedPReLU:
    """An activation with random parameters; some slopes are negative, one is 0."""
    activation, generator = ShiftedPReLU(channels), torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in activation.parameters():
            parameter.normal_(generator=generator)
        activation.prelu.weight[0] = 0
    return activation


def unit(
    inputs: int, outputs: int, size: int, stride: int, seed: int, *, shift: bool = False
) -> nn.ModuleList:
    """A convolution, a BatchNorm and an RPReLU, all with random parameters."""
    torch.manual_seed(seed)
    how = Binarisation(shift=shift)
    conv = BinaryConv2d(inputs, outputs, size, stride, size // 2, binarisation=how)
    if conv.threshold is not None:
        nn.init.normal_(conv.threshold)
    norm = nn.BatchNorm2d(outputs)
    nn.init.normal_(norm.weight)
    nn.init.normal_(norm.bias)
    return nn.ModuleList([conv, norm, shifted_prelu(outputs, seed)]).train()


def run(modules: nn.ModuleList, x: Tensor, shortcut: Tensor | None) -> Tensor:
    conv, norm, activation = modules
    assert isinstance(conv, BinaryConv2d)
    assert isinstance(norm, nn.BatchNorm2d)
    return conv.normed(x, norm, activation, shortcut)


def error(ours: Tensor | None, plain: Tensor | None, least: float) -> float:
    """Largest difference divided by the largest plain value, or by ``least``."""
    assert ours is not None
    assert plain is not None
    difference = (ours.detach().double() - plain.detach()).abs().max()
    return float(difference / plain.detach().abs().max().clamp_min(least))


@each_arithmetic
@given(
    st.integers(2, 5),  # images
    st.sampled_from([1, 3, 16, 21]),  # inputs
    st.sampled_from([(4, 5), (7, 7), (8, 4), (3, 17), (50, 45)]),  # height, width
    st.sampled_from([1, 7, 16, 33]),  # outputs
    st.sampled_from([(1, 1), (3, 1), (3, 2)]),  # size and stride
    st.sampled_from(["none", "input", "other"]),
    st.booleans(),  # thresholds of the signs
    st.integers(0, 99),
)
@settings(max_examples=60, deadline=None)
def test_a_unit_with_rprelu_equals_the_plain_one(
    arithmetic: Arithmetic,
    images: int,
    inputs: int,
    sides: tuple[int, int],
    outputs: int,
    window: tuple[int, int],
    shortcut: str,
    shift: bool,
    seed: int,
) -> None:
    ours = unit(inputs, outputs, *window, seed, shift=shift)
    plain = copy.deepcopy(ours).double()
    x = torch.randn(images, inputs, *sides)
    maps = [x.clone().requires_grad_(), x.double().requires_grad_()]
    with torch.no_grad():
        before = plain[1](plain[0](maps[1]))
    others = [torch.randn(before.shape, requires_grad=True)]
    others.append(others[0].detach().double().requires_grad_())
    added = {"none": [None, None], "input": maps, "other": others}[shortcut]
    expected = run(plain, maps[1], added[1])
    with torch.no_grad():
        bent = copy.deepcopy(plain)
        inner = run(nn.ModuleList([*bent[:2], nn.Identity()]), maps[1], added[1])
        assume((inner - plain[2].gamma).abs().min() > 1e-5)  # rounding must not cross the kink
    gradient = torch.randn(expected.shape)
    expected.backward(gradient.double())
    with arithmetic_of(arithmetic):
        result = run(ours, maps[0], added[0])
        result.backward(gradient)
    assert error(result, expected, 1) < 1e-5
    bound, positions = tolerance(arithmetic), expected[:, 0].numel()
    if shortcut == "other":
        assert error(others[0].grad, others[1].grad, 1) < 1e-6
    spread = float(plain[1].weight.detach().abs().max() / before.std())
    assert error(maps[0].grad, maps[1].grad, spread * outputs**0.5) < bound
    for one, two in zip(ours[0].parameters(), plain[0].parameters(), strict=True):
        assert error(one.grad, two.grad, spread * (outputs * positions) ** 0.5) < bound
    for module, other in zip(ours[1:], plain[1:], strict=True):
        for (name, one), two in zip(module.named_parameters(), other.parameters(), strict=True):
            assert error(one.grad, two.grad, positions**0.5) < 1e-5, name


@each_arithmetic
@pytest.mark.parametrize("has_shortcut", [True, False])
def test_normed_maps_with_rprelu_equal_torchs(arithmetic: Arithmetic, has_shortcut: bool) -> None:
    torch.manual_seed(0)
    ours = nn.ModuleList([nn.BatchNorm2d(5), shifted_prelu(5)])
    plain = copy.deepcopy(ours).double()
    y, shortcut = 3 * torch.randn(4, 5, 70, 61) + 2, torch.randn(4, 5, 70, 61)
    maps = [[tensor.clone().requires_grad_() for tensor in (y, shortcut)]]
    maps.append([tensor.double().requires_grad_() for tensor in (y, shortcut)])
    expected = plain[1](plain[0](maps[1][0]) + (maps[1][1] if has_shortcut else 0))
    gradient = torch.randn(expected.shape)
    expected.backward(gradient.double())
    with arithmetic_of(arithmetic):
        result = normed(maps[0][0], ours[0], ours[1], maps[0][1] if has_shortcut else None)  # type: ignore[arg-type]
        result.backward(gradient)
    assert error(result, expected, 1) < 1e-5
    for mine, theirs in zip(*maps, strict=True):
        assert has_shortcut or mine is maps[0][0] or mine.grad is None
        if mine.grad is not None:
            assert error(mine.grad, theirs.grad, 1) < 1e-4
    for (name, one), other in zip(ours.named_parameters(), plain.parameters(), strict=True):
        assert error(one.grad, other.grad, 1) < 1e-5, name


@each_arithmetic
def test_a_value_at_the_kink_has_the_slope_beta_as_in_torch(arithmetic: Arithmetic) -> None:
    modules = unit(3, 4, 3, 1, 0)
    with torch.no_grad():  # each value is the norm's bias, which is gamma
        modules[1].weight.zero_()
        modules[1].bias.copy_(modules[2].gamma.flatten())
    plain = copy.deepcopy(modules)
    x = torch.randn(2, 3, 5, 5)
    expected = plain[2](plain[1](plain[0](x)))
    gradient = torch.randint(-4, 5, expected.shape).float()  # their sums are exact
    expected.backward(gradient)
    with arithmetic_of(arithmetic):
        unit_out = run(modules, x, None)
        unit_out.backward(gradient)
        convolved = plain[0](x).detach()
        own = copy.deepcopy(modules[1:])
        own.zero_grad()
        maps_out = normed(convolved, own[0], own[1])  # type: ignore[arg-type]
        maps_out.backward(gradient)
    for out, found in ((unit_out, modules[1:]), (maps_out, own)):
        assert torch.equal(out, expected)
        assert torch.equal(out[0, :, 0, 0], plain[2].zeta.flatten())
        for mine, theirs in zip(found.parameters(), plain[1:].parameters(), strict=True):
            assert torch.allclose(mine.grad, theirs.grad, rtol=1e-6)  # type: ignore[arg-type]
        assert not found[1].prelu.weight.grad.any()


@each_arithmetic
def test_prelu_is_rprelu_without_shifts(arithmetic: Arithmetic) -> None:
    shifted, plain = unit(5, 6, 3, 1, 0), unit(5, 6, 3, 1, 0)
    with torch.no_grad():
        shifted[2].gamma.zero_()
        shifted[2].zeta.zero_()
    plain[2] = shifted[2].prelu
    plain[2] = copy.deepcopy(plain[2])
    x, gradient = torch.randn(2, 5, 6, 6), torch.randn(2, 6, 6, 6)
    with arithmetic_of(arithmetic):
        results = [run(modules, x, None) for modules in (shifted, plain)]
        for result in results:
            result.backward(gradient)
    assert torch.equal(*results)
    assert torch.equal(shifted[2].prelu.weight.grad, plain[2].weight.grad)
    assert torch.equal(shifted[0].weight.grad, plain[0].weight.grad)


def test_a_prelu_with_one_slope_for_all_channels_is_torchs() -> None:
    modules = unit(5, 6, 3, 1, 0)
    modules[2] = nn.PReLU()
    x = torch.randn(2, 5, 6, 6)
    result = run(modules, x, None)
    expected = modules[2](modules[1](modules[0](x)))
    assert torch.allclose(result, expected, atol=1e-5)
    result.sum().backward()
    assert modules[2].weight.grad.shape == (1,)


@each_arithmetic
def test_nan_stays_nan_through_rprelu(arithmetic: Arithmetic) -> None:
    modules, shortcut = unit(3, 4, 3, 1, 0), torch.zeros(2, 4, 6, 6)
    shortcut[0, 0, 0, 0] = float("nan")
    with arithmetic_of(arithmetic):
        result = run(modules, torch.randn(2, 3, 6, 6), shortcut)
        assert torch.equal(result.isnan(), shortcut.isnan())
        result = normed(shortcut, modules[1], modules[2])  # type: ignore[arg-type]
        assert torch.equal(result[0].isnan().any(dim=(1, 2)), torch.arange(4) == 0)


# short loops run on one thread, so there are many values
@each_arithmetic
@pytest.mark.parametrize("stride", [1, 2])
def test_results_do_not_depend_on_the_number_of_threads(
    arithmetic: Arithmetic, stride: int
) -> None:
    x, before, found = torch.randn(37, 24, 28, 28), torch.get_num_threads(), []
    try:
        for threads in (1, 2, 3):
            torch.set_num_threads(threads)
            modules, maps = unit(24, 24, 3, stride, 0, shift=True), x.clone().requires_grad_()
            with arithmetic_of(arithmetic):
                result = run(modules, maps, maps)
                result.square().sum().backward()
            gradients = [parameter.grad for parameter in modules.parameters()]
            found.append([result.detach(), maps.grad, *gradients])
    finally:
        torch.set_num_threads(before)
    for other in found[1:]:
        assert all(map(torch.equal, found[0], other))


@each_arithmetic
def test_some_steps_of_training_equal_the_plain_ones(arithmetic: Arithmetic) -> None:
    ours = unit(8, 8, 3, 1, 4, shift=True)
    plain = copy.deepcopy(ours).double()
    batches = torch.randn(3, 6, 8, 7, 7)
    with arithmetic_of(arithmetic):
        for modules, dtype in ((ours, torch.float32), (plain, torch.float64)):
            optimiser = torch.optim.SGD(modules.parameters(), lr=0.01, momentum=0.9)
            for batch in batches.to(dtype):
                optimiser.zero_grad()
                (run(modules, batch, batch) - batch.roll(1, dims=1)).square().mean().backward()
                optimiser.step()
    for (name, one), other in zip(ours.named_parameters(), plain.parameters(), strict=True):
        assert error(one, other, 1e-9) < tolerance(arithmetic), name


@each_arithmetic
def test_thresholds_learn_without_a_gradient_of_the_input(arithmetic: Arithmetic) -> None:
    modules, x = unit(3, 4, 3, 1, 0, shift=True), torch.randn(2, 3, 6, 6)
    gradients = []
    with arithmetic_of(arithmetic):
        for maps in (x, x.clone().requires_grad_()):
            modules.zero_grad()
            run(modules, maps, None).square().sum().backward()
            gradients.append(modules[0].threshold.grad.clone())
    assert gradients[0].any()
    assert torch.equal(*gradients)
