"""The fused operations against plain ones in double precision, which share no code with them."""

from __future__ import annotations

import contextlib
import copy
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import pytest
import torch
from arithmetics import arithmetic_of
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional

from ir2search.choices import Estimator
from ir2search.kernels.training import Arithmetic, is_bfloat16, library
from ir2search.models.families import Stage, Stem
from ir2search.models.network import NetworkSpec
from ir2search.models.resnet import BasicBlock, BiRealUnit, ResidualUnit
from ir2search.models.vgg import ConvBlock
from ir2search.nn import (
    Binarisation,
    BinaryConv2d,
    InformationRecovery,
    Normed,
    fixed_weights,
    kernel_calls,
    kernels_without_gradients,
    normed,
)
from ir2search.nn.functions import SignConvolution
from ir2search.nn.fused import LARGEST_SUM, is_fusable, pooled_and_joined, sign_convolution
from ir2search.space import Candidate, build

pytestmark = pytest.mark.skipif(library() is None, reason="needs a C++ compiler with OpenMP")

each_arithmetic = pytest.mark.parametrize("arithmetic", get_args(Arithmetic))

Plain = Callable[[Tensor], Tensor]


def plain_sign(x: Tensor, estimator: Estimator, sharpness: float) -> Tensor:
    """A sign from masks and multiplications, as in papers' code."""
    if estimator == "straight-through":
        soft = x.clamp(-1, 1)
    elif estimator == "tanh":
        soft = max(1 / sharpness, 1) * torch.tanh(sharpness * x)
    else:
        inner = torch.where(x < 0, x * x + 2 * x, 2 * x - x * x)
        soft = torch.where(x.abs() < 1, inner, x.detach().sign())
    hard = torch.where(x < 0, -torch.ones_like(x), torch.ones_like(x))
    return hard - soft.detach() + soft


def rounding(arithmetic: Arithmetic) -> float:
    """The error of a gradient, relative to the norm of its terms; bfloat16 is rounded twice."""
    with arithmetic_of(arithmetic):
        return 1e-2 if is_bfloat16() else 1e-5


def relative(ours: Tensor | None, plain: Tensor | None) -> float:
    """Largest difference divided by the largest plain value."""
    assert ours is not None
    assert plain is not None
    error = (ours.detach().double() - plain.detach()).abs().max()
    return float(error / plain.detach().abs().max().clamp_min(1e-9))


estimators = st.sampled_from(get_args(Estimator))
shapes = st.tuples(
    st.integers(1, 5),  # images
    st.sampled_from([1, 3, 4, 16, 21, 66]),  # inputs
    st.integers(1, 12),  # height
    st.sampled_from([1, 2, 5, 8, 13, 32, 41]),  # width
    st.sampled_from([1, 7, 16, 33, 70]),  # outputs
    st.sampled_from([(1, 1, 0), (1, 2, 0), (3, 1, 0), (3, 1, 1), (3, 2, 1), (3, 1, 2), (5, 2, 2)]),
)


@each_arithmetic
@given(shapes, estimators, estimators, st.booleans(), st.integers(0, 99))
@settings(max_examples=150)
def test_convolution_and_gradients_equal_the_plain_ones(
    arithmetic: Arithmetic,
    sizes: tuple[int, int, int, int, int, tuple[int, int, int]],
    estimator: Estimator,
    weight_estimator: Estimator,
    has_thresholds: bool,
    seed: int,
) -> None:
    images, inputs, height, width, outputs, (size, stride, padding) = sizes
    if min(height, width) + 2 * padding < size:
        return
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(images, inputs, height, width, generator=generator)
    x.flatten()[:3] = torch.tensor([0.0, -0.0, 1.0])[: x.numel()]
    weights = torch.randn(outputs, inputs, size, size, generator=generator)
    weights.flatten()[:3] = torch.tensor([0.0, -0.0, -1.0])[: weights.numel()]
    thresholds = torch.randn(inputs, 1, 1, generator=generator) if has_thresholds else None
    given_tensors = [x, weights] if thresholds is None else [x, weights, thresholds]
    ours = [tensor.clone().requires_grad_() for tensor in given_tensors]
    plain = [tensor.double().requires_grad_() for tensor in given_tensors]
    shifted = plain[0] if thresholds is None else plain[0] - plain[2]
    how = SignConvolution(stride, padding, estimator, weight_estimator, 2.0)
    signs = [plain_sign(shifted, estimator, 2.0), plain_sign(plain[1], weight_estimator, 2.0)]
    z = functional.conv2d(signs[0], signs[1], None, stride, padding)
    gradient = torch.randn(z.shape, generator=generator)
    with arithmetic_of(arithmetic):
        y = sign_convolution(ours[0], ours[1], how, *ours[2:])
        assert torch.equal(y.double(), z), "sums of signs are exact"
        y.backward(gradient)
    z.backward(gradient.double())
    norms = [2 * (outputs * size**2) ** 0.5, 2 * (z.numel() / outputs) ** 0.5]  # slopes reach 2
    norms.append(norms[0] * (images * height * width) ** 0.5)
    for mine, theirs, norm in zip(ours, plain, norms[: len(ours)], strict=True):
        assert mine.grad is not None
        assert theirs.grad is not None
        error = (mine.grad.double() - theirs.grad).abs().max()
        largest = theirs.grad.abs().max().clamp_min(norm)  # terms are near 1, and can cancel
        assert error < rounding(arithmetic) * largest


def spec(**values: Any) -> NetworkSpec:
    recovery = InformationRecovery([], 8)
    return NetworkSpec(
        depth=8, stem=Stem(8), image=(3, 8, 8), classes=2, taps=(), recovery=recovery, **values
    )


# Single blocks only: in a deep network, one sign of a value near 0 that rounds differently would
# change everything after it.
@pytest.mark.parametrize(
    "block",
    [
        ResidualUnit(spec(), Stage("", 8), 8, 1),
        ResidualUnit(spec(), Stage("", 16), 8, 2),
        ResidualUnit(spec(), Stage("", 5), 8, 2),
        ResidualUnit(spec(), Stage("", 13), 8, 1),
        ResidualUnit(spec(binarisation=Binarisation(shift=True)), Stage("", 16), 8, 2),
        ResidualUnit(spec(activation="prelu"), Stage("", 8), 8, 1),
        ResidualUnit(
            spec(binarisation=Binarisation(shift=True, standardise=True)), Stage("", 8), 8, 1
        ),
        ResidualUnit(spec(binarisation=Binarisation(estimator="tanh")), Stage("", 8), 8, 1),
        ResidualUnit(spec(), Stage("", 8, kernel=5), 8, 1),
        ResidualUnit(spec(), Stage("", 8, kernel=1, groups=2), 8, 2),
        BasicBlock(spec(), Stage("", 8), 8, 1),
        BasicBlock(spec(), Stage("", 12), 8, 2),
        BiRealUnit(spec(activation="prelu"), Stage("", 8), 8, 1),
        BiRealUnit(spec(activation="rprelu"), Stage("", 16), 8, 2),
        ConvBlock(spec(), Stage("", 12), 8, shrinks=True),
        InformationRecovery([4, 4], 8, channels=3, activation=nn.PReLU),
    ],
    ids=lambda block: type(block).__name__,
)
@pytest.mark.parametrize("side", [1, 4, 7])
@each_arithmetic
def test_a_training_step_of_a_block_equals_the_plain_one(
    block: nn.Module, side: int, arithmetic: Arithmetic
) -> None:
    if isinstance(block, ConvBlock) and side == 1:
        pytest.skip("nothing to pool")
    torch.manual_seed(3)
    ours, plain = copy.deepcopy(block).train(), copy.deepcopy(block).double().train()
    inputs = [torch.randn(6, 8, side, side)]
    if isinstance(block, InformationRecovery):
        inputs += [torch.randn(6, 4, 2 * side, 2 * side), torch.randn(6, 4, side, side)]
    batches = [
        [tensor.clone().requires_grad_() for tensor in inputs],
        [tensor.double().requires_grad_() for tensor in inputs],
    ]
    expected = plain(*batches[1])
    gradient = torch.randn(expected.shape)
    expected.backward(gradient.double())
    with arithmetic_of(arithmetic):
        result = ours(*batches[0])
        result.backward(gradient)
    assert relative(result, expected) < 1e-5
    tolerance = max(1e-4, 2 * rounding(arithmetic))
    for mine, theirs in zip(*batches, strict=True):
        assert relative(mine.grad, theirs.grad) < tolerance
    for (name, one), other in zip(ours.named_parameters(), plain.parameters(), strict=True):
        # with a single position most of the gradient cancels
        bound = tolerance if side > 1 else 10 * tolerance
        assert relative(one.grad, other.grad) < bound or near_zero(other.grad), name
    for (name, one), other in zip(ours.named_buffers(), plain.buffers(), strict=True):
        assert torch.allclose(one.double(), other.double(), rtol=1e-5, atol=1e-5), name


def near_zero(gradient: Tensor | None) -> bool:
    """Whether a gradient is zero up to rounding, as before a BatchNorm."""
    assert gradient is not None
    return float(gradient.abs().max()) < 1e-9


@pytest.mark.parametrize("activation", [nn.Hardtanh(), nn.PReLU(5), None])
@pytest.mark.parametrize("has_shortcut", [True, False])
def test_norm_sum_and_activation_equal_torchs(
    activation: nn.Module | None, has_shortcut: bool
) -> None:
    torch.manual_seed(0)
    norm = nn.BatchNorm2d(5)
    nn.init.normal_(norm.weight)
    plain_norm = copy.deepcopy(norm).double()
    plain_activation = copy.deepcopy(activation).double() if activation else nn.Identity()
    y = 3 * torch.randn(4, 5, 7, 6) + 1000, torch.randn(4, 5, 7, 6)  # a large mean costs precision
    ours = [tensor.clone().requires_grad_() for tensor in y]
    plain = [tensor.double().requires_grad_() for tensor in y]
    result = normed(ours[0], norm, activation, ours[1] if has_shortcut else None)
    expected = plain_norm(plain[0]) + (plain[1] if has_shortcut else 0)
    expected = plain_activation(expected)
    assert relative(result, expected) < 1e-4
    gradient = torch.randn(result.shape)
    result.backward(gradient)
    expected.backward(gradient.double())
    for mine, theirs in zip(ours[: 1 + has_shortcut], plain[: 1 + has_shortcut], strict=True):
        assert relative(mine.grad, theirs.grad) < 1e-3
    assert relative(norm.weight.grad, plain_norm.weight.grad) < 1e-4
    assert relative(norm.running_var, plain_norm.running_var) < 1e-5


@pytest.mark.parametrize("size", [(4, 4), (3, 5), (1, 1), (8, 10)])
def test_pooled_and_joined_maps_equal_torchs(size: tuple[int, int]) -> None:
    torch.manual_seed(0)
    maps = [torch.randn(2, 4, *size), torch.randn(2, 3, 8, 10), torch.randn(2, 5, 12, 11)]
    ours = [tensor.clone().requires_grad_() for tensor in maps]
    plain = [tensor.double().requires_grad_() for tensor in maps]
    joined = pooled_and_joined(ours[0], ours[1:])
    pooled = [functional.adaptive_avg_pool2d(tap, size) for tap in plain[1:]]
    expected = torch.cat([*pooled, plain[0]], dim=1)
    gradient = torch.randn(joined.shape)
    joined.backward(gradient)
    expected.backward(gradient.double())
    assert relative(joined, expected) < 1e-6
    for mine, theirs in zip(ours, plain, strict=True):
        assert relative(mine.grad, theirs.grad) < 1e-6


def test_a_norm_without_momentum_averages_all_batches() -> None:
    norm, plain = nn.BatchNorm2d(3, momentum=None), nn.BatchNorm2d(3, momentum=None)
    for _ in range(3):
        y = torch.randn(4, 3, 5, 5)
        normed(y, norm)
        plain(y)
    assert torch.allclose(norm.running_mean, plain.running_mean, atol=1e-6)  # type: ignore[arg-type]


def test_a_shortcut_of_another_size_is_refused() -> None:
    conv, norm = BinaryConv2d(4, 4, padding=0).train(), nn.BatchNorm2d(4)
    x = torch.randn(2, 4, 5, 5)
    with pytest.raises(ValueError, match="must have 3 x 3 pixels, but has 5 x 5"):
        conv.normed(x, norm, None, x)
    with pytest.raises(ValueError, match=r"must be \(2, 4, 3, 3\), but is \(2, 3, 3, 3\)"):
        conv.normed(x, norm, None, x[:, :3, :3, :3])


@each_arithmetic
def test_passes_that_share_packed_signs_have_the_gradients_of_separate_ones(
    arithmetic: Arithmetic,
) -> None:
    conv, norm = BinaryConv2d(5, 7).train(), nn.BatchNorm2d(7)
    first, second = torch.randn(2, 3, 5, 6, 6)
    found = []
    with arithmetic_of(arithmetic):
        for _ in range(2):  # in the second round with other weights
            for context in (contextlib.nullcontext(), fixed_weights()):
                conv.zero_grad()
                with context:
                    outputs = [conv.normed(x, norm, nn.Hardtanh()) for x in (first, second)]
                torch.cat(outputs).square().sum().backward()
                assert conv.weight.grad is not None
                found.append((torch.cat(outputs).detach(), conv.weight.grad.clone()))
            with torch.no_grad():
                conv.weight.neg_()
    for separate, shared in (found[:2], found[2:]):
        assert all(map(torch.equal, separate, shared))
    assert not torch.equal(found[1][0], found[3][0])


@pytest.mark.parametrize(("standardise", "kept"), [(False, 1), (True, 0)])
def test_only_signs_of_parameters_are_shared(standardise: bool, kept: int) -> None:
    """Standardised weights are another tensor in each pass: kept ones would fill the memory."""
    conv = BinaryConv2d(5, 7, binarisation=Binarisation(standardise=standardise)).train()
    with fixed_weights():
        for x in torch.randn(3, 3, 5, 6, 6):
            conv.normed(x, nn.BatchNorm2d(7), nn.Hardtanh())
        assert len(kernel_calls._shared.get() or ()) == kept


# short loops run on one thread: there are many values, or many weights
@pytest.mark.parametrize("shape", [(37, 32, 64, 24), (3, 128, 256, 5)])
@each_arithmetic
def test_the_gradient_does_not_depend_on_the_number_of_threads(
    arithmetic: Arithmetic, shape: tuple[int, int, int, int]
) -> None:
    images, inputs, outputs, side = shape
    conv = BinaryConv2d(inputs, outputs, stride=2).train()
    norm, x = nn.BatchNorm2d(outputs), torch.randn(images, inputs, side, side)
    before, found = torch.get_num_threads(), []
    try:
        for threads in (1, 2, 3):
            torch.set_num_threads(threads)
            conv.zero_grad()
            with arithmetic_of(arithmetic):
                conv.normed(x, norm, nn.Hardtanh()).square().sum().backward()
            assert conv.weight.grad is not None
            found.append(conv.weight.grad.clone())
    finally:
        torch.set_num_threads(before)
    assert torch.equal(found[0], found[1])
    assert torch.equal(found[0], found[2])


def test_nan_is_not_clipped() -> None:
    x = torch.randn(2, 4, 6, 6)
    x[0, 0, 0, 0] = float("nan")
    norm = nn.BatchNorm2d(4)
    assert not torch.isfinite(normed(x, norm, nn.Hardtanh())[:, 0]).any()
    assert torch.isfinite(normed(x.nan_to_num(), norm, nn.Hardtanh())).all()


def test_channels_last_maps_and_sums_beyond_16_bits_are_supported() -> None:
    conv = BinaryConv2d(8, 8).train()
    x = torch.randn(2, 8, 6, 6).contiguous(memory_format=torch.channels_last)
    assert torch.equal(conv(x), conv(x.contiguous()))
    wide = BinaryConv2d(LARGEST_SUM // 9 + 1, 1).train()
    ones = torch.ones(1, wide.in_channels, 3, 3)
    with torch.no_grad():
        wide.weight.fill_(1)
    assert wide(ones)[0, 0, 1, 1] == 9 * wide.in_channels


def test_the_kernels_run_on_a_cpu_with_gradients_enabled() -> None:
    assert is_fusable(torch.zeros(1))
    assert not is_fusable(torch.zeros(1, dtype=torch.float64))
    assert not is_fusable(torch.zeros(1, device="meta"))
    with torch.no_grad():
        assert not is_fusable(torch.zeros(1))
        with kernels_without_gradients():
            assert is_fusable(torch.zeros(1))
        assert not is_fusable(torch.zeros(1))


@each_arithmetic
def test_an_evaluation_with_kernels_gives_the_same_logits(arithmetic: Arithmetic) -> None:
    network, images = build(Candidate(depth=8, width=0.25)).eval(), torch.randn(3, 3, 32, 32)
    with torch.no_grad(), arithmetic_of(arithmetic):
        expected = network(images)
        with kernels_without_gradients():
            assert torch.equal(network(images), expected)


def test_evaluation_calls_the_hooks_of_all_modules() -> None:
    """Attributions need the hooks."""
    network = build(Candidate(depth=8, width=0.25)).eval()
    called: list[str] = []
    for name, module in network.named_modules():
        if isinstance(module, BinaryConv2d | nn.BatchNorm2d | nn.Hardtanh | Normed):
            module.register_forward_hook(lambda *_, name=name: called.append(name))
    network(torch.randn(1, 3, 32, 32))
    assert set(called) == {
        name
        for name, module in network.named_modules()
        if isinstance(module, BinaryConv2d | nn.BatchNorm2d | nn.Hardtanh | Normed)
    }


def test_real_weights_use_torchs_operations() -> None:
    conv = BinaryConv2d(4, 4, binarisation=Binarisation(weights="real")).train()
    x = torch.randn(2, 4, 5, 5)
    expected = functional.conv2d(plain_sign(x, "polynomial", 1), conv.weight, None, 1, 1)
    assert torch.allclose(conv(x), expected, atol=1e-5)


def test_without_a_compiler_training_works_and_warns_once(tmp_path: Path) -> None:
    program = (
        "import pathlib, torch, warnings\n"
        "import ir2search.kernels.build\n"
        "from ir2search.space import Candidate, build\n"
        "ir2search.kernels.build.BUILT = pathlib.Path('nothing')\n"  # of the installation
        "with warnings.catch_warnings(record=True) as caught:\n"
        "    warnings.simplefilter('always')\n"
        "    network = build(Candidate(depth=8, width=0.25)).train()\n"
        "    for _ in range(2):\n"
        "        network(torch.randn(2, 3, 32, 32)).sum().backward()\n"
        "print(*[str(warning.message) for warning in caught], sep='\\n')\n"
        "assert network.stem[0].weight.grad.isfinite().all()\n"
    )
    environment = os.environ | {"CXX": "/nonexistent/c++", "XDG_CACHE_HOME": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout.count("the fast kernels could not be compiled") == 1
    assert "install a C++ compiler" in done.stdout
