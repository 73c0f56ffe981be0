from __future__ import annotations

import itertools
import os
import subprocess
import sys
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

import pytest
import torch
from captum.attr import (
    LayerConductance,
    LayerDeepLift,
    LayerGradCam,
    LayerGradientXActivation,
    LayerIntegratedGradients,
)
from torch import Tensor, nn

from ir2search.errors import InputError
from ir2search.information.attributions import (
    METHODS,
    LayerAttribution,
    MethodName,
    attribute,
    surrogate,
)
from ir2search.models.network import TappedNetwork
from ir2search.space import Candidate
from ir2search.zoo import build_preset

IMAGE = (1, 8, 8)
Make = Callable[[Candidate], TappedNetwork]
Batch = tuple[Tensor, Tensor]
Small = Callable[..., Candidate]


def gap(layer: LayerAttribution) -> float:
    return float((layer.total - layer.change).abs().mean() / layer.change.abs().mean())


def gaps(
    network: TappedNetwork, batch: Batch, method: MethodName, **asked: Any
) -> dict[str, float]:
    return {found.layer: gap(found) for found in attribute(network, *batch, (method,), **asked)}


@pytest.mark.parametrize("method", ["integrated_gradients", "conductance"])
def test_attributions_over_each_cut_of_a_smooth_network_sum_to_the_change(
    small: Small, untrained: Make, batch: Batch, method: MethodName
) -> None:
    twin = untrained(small().twin())
    coarse, fine = (max(gaps(twin, batch, method, steps=n).values()) for n in (32, 256))
    assert fine < 0.06
    assert fine < coarse / 3, "what is left is the quadrature's error"


@pytest.mark.parametrize("method", ["integrated_gradients", "conductance"])
def test_gradients_sum_to_the_change_only_after_the_last_sign(
    small: Small, untrained: Make, batch: Batch, method: MethodName
) -> None:
    found = gaps(untrained(small()), batch, method)
    assert found["recovery"] < 1e-4
    assert found["input"] > 0.1


@pytest.mark.parametrize("fields", [{}, {"activation": "rprelu", "shift": True}, {"taps": ()}])
def test_deeplift_sums_to_the_change_through_every_sign(
    small: Small, untrained: Make, batch: Batch, fields: dict[str, Any]
) -> None:
    found = gaps(untrained(small(**fields)), batch, "deeplift")
    assert max(found.values()) < 1e-3


def test_deeplift_equals_that_of_captum_on_functions_that_captum_supports(
    small: Small, untrained: Make, batch: Batch, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Captum's rule for elementwise functions also holds for PReLU, which it does not list."""
    from captum.attr._core import deep_lift

    network = untrained(small(taps=(), activation="prelu").twin())
    monkeypatch.setitem(deep_lift.SUPPORTED_NON_LINEAR, nn.PReLU, deep_lift.nonlinear)
    ours = {found.layer: found.own for found in attribute(network, *batch, ("deeplift",))}
    theirs = LayerDeepLift(network, network.get_submodule("stage2.0")).attribute(
        batch[0], torch.zeros_like(batch[0]), target=batch[1]
    )
    torch.testing.assert_close(ours["stage2.0"], theirs, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("method", "theirs"),
    [
        (
            "integrated_gradients",
            lambda net, layer, x, y: LayerIntegratedGradients(net, layer).attribute(
                x, torch.zeros_like(x), target=y, n_steps=32
            ),
        ),
        (
            "conductance",
            lambda net, layer, x, y: LayerConductance(net, layer).attribute(
                x, torch.zeros_like(x), target=y, n_steps=32, method="riemann_trapezoid"
            ),
        ),
        (
            "gradient_x_activation",
            lambda net, layer, x, y: LayerGradientXActivation(net, layer).attribute(x, target=y),
        ),
        (
            "grad_cam",
            lambda net, layer, x, y: LayerGradCam(net, layer).attribute(
                x, target=y, relu_attributions=True
            ),
        ),
    ],
)
def test_methods_equal_those_of_captum_on_a_network_without_taps(
    small: Small, untrained: Make, batch: Batch, method: MethodName, theirs: Callable[..., Tensor]
) -> None:
    network = untrained(small(taps=()))
    for found in attribute(network, *batch, (method,))[1:]:
        expected = theirs(network, network.get_submodule(found.layer), *batch).detach()
        own = found.map[:, None].float() if method == "grad_cam" else found.own
        torch.testing.assert_close(own, expected, rtol=1e-4, atol=1e-6)


def test_feature_ablation_is_the_change_of_the_logit_without_each_part(
    small: Small, untrained: Make, batch: Batch
) -> None:
    network, (images, labels) = untrained(small()), batch
    (found,) = attribute(network, images, labels, ("feature_ablation",), ("input",))
    with torch.no_grad():
        whole = network(images).gather(1, labels[:, None])
        sides = (slice(0, 3), slice(3, 5), slice(5, 8))
        for rows, columns in itertools.product(sides, sides):
            part = (slice(None), slice(None), rows, columns)
            without = images.clone()
            without[part] = 0
            lost = whole - network(without).gather(1, labels[:, None])
            summed = found.own[part].sum(dim=(1, 2, 3))
            torch.testing.assert_close(summed, lost.squeeze(1), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("method", METHODS)
def test_the_memory_limit_changes_no_attribution(
    small: Small, untrained: Make, batch: Batch, method: MethodName, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = untrained(small())
    whole = attribute(network, *batch, (method,))
    monkeypatch.setattr("ir2search.information.attributions.images_at_once", lambda *arguments: 4)
    for one, other in zip(whole, attribute(network, *batch, (method,)), strict=True):
        torch.testing.assert_close(one.own, other.own, rtol=1e-3, atol=1e-4)
        torch.testing.assert_close(one.total, other.total, rtol=1e-3, atol=1e-3)


PEAK = """
import sys, torch
from pathlib import Path
from ir2search.information import attribute
from ir2search.information.attributions import without_own
from ir2search.zoo import build_preset

torch.set_num_threads(1)
network, images = build_preset("cifar-resnet20").eval(), torch.randn(24, 3, 32, 32)
labels = torch.zeros(24).long()
ask = {"steps": 2, "keep": without_own}

def mebibytes(name):
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith(name)).split()[1]) / 1024

for methods in (("conductance",), ("deeplift",)):
    attribute(network, images[:2], labels[:2], methods, **ask)
    for memory in (64, 4096):
        Path("/proc/self/clear_refs").write_text("5")  # resets the peak to the memory in use
        before = mebibytes("VmRSS")
        attribute(network, images, labels, methods, memory=memory, **ask)
        print(mebibytes("VmHWM") - before)
"""


def test_the_memory_limit_is_kept() -> None:
    # freed memory goes back to the system, so that only memory in use counts
    given = os.environ | {"MALLOC_MMAP_THRESHOLD_": "65536"}
    command = [sys.executable, "-c", PEAK]
    done = subprocess.run(command, capture_output=True, check=True, text=True, env=given)
    peaks = [float(line) for line in done.stdout.split()]
    assert len(peaks) == 4
    for limited, ample in (peaks[:2], peaks[2:]):
        assert limited < 64 < 128 < ample


def test_the_surrogate_gradient_is_named(small: Small, untrained: Make) -> None:
    network = untrained(small(estimator="straight-through"))
    assert surrogate("conductance", network) == "straight-through"
    assert surrogate("deeplift", network) == "none (rescale rule)"
    assert surrogate("occlusion", network) == "none (no gradient)"
    assert surrogate("grad_cam", untrained(small().twin())) == "none (no sign)"


def test_deeplift_is_an_error_on_a_network_with_max_pooling() -> None:
    network = build_preset("cifar-vgg-small")
    with pytest.raises(InputError, match=r"'deeplift' does not apply .*max-pooling"):
        attribute(network, torch.zeros(1, 3, 32, 32), torch.zeros(1).long(), ("deeplift",))


def test_input_attributions_equal_a_riemann_sum_in_float64(
    small: Small, untrained: Make, batch: Batch
) -> None:
    twin = untrained(small(taps=("stage1",)).twin())
    images, labels = batch
    exact = twin.double()
    total = torch.zeros_like(images, dtype=torch.float64)
    steps = 400
    for step in range(steps):
        point = (images.double() * ((step + 0.5) / steps)).requires_grad_()
        exact(point).gather(1, labels[:, None]).sum().backward()
        assert point.grad is not None
        total += point.grad * images.double() / steps
    expected = total.abs().sum(dim=1)
    found = attribute(twin.float(), images, labels, steps=256)[0].map
    assert (found - expected).abs().sum() / expected.abs().sum() < 0.1


def test_attributions_to_the_last_layer_follow_from_the_linear_head(
    small: Small, untrained: Make, batch: Batch
) -> None:
    binary = untrained(small(taps=()))
    images, labels = batch
    with torch.no_grad():
        last = binary.forward_features(images)
        baseline = binary.forward_features(torch.zeros(1, *IMAGE))
        norm = binary.get_submodule("head.bn")
        scale = norm.weight / (norm.running_var + norm.eps).sqrt()
        weights = (
            binary.get_parameter("head.linear.weight")[labels]
            * scale
            / (last.shape[-1] * last.shape[-2])
        )
        expected = ((last - baseline) * weights[:, :, None, None]).abs().sum(dim=1)
    found = attribute(binary, images, labels)[-1]
    assert found.layer == "stage3.1"
    torch.testing.assert_close(found.map, expected.double(), rtol=1e-4, atol=1e-6)


def hooks(module: nn.Module) -> int:
    kinds = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
    return sum(
        len(getattr(part, kind, OrderedDict())) for part in module.modules() for kind in kinds
    )


def everything(subject: TappedNetwork, batch: Batch) -> list[LayerAttribution]:
    return attribute(subject, *batch, tuple(METHODS))


@pytest.mark.parametrize("training", [True, False])
def test_the_network_is_restored_after_attribution(
    small: Small, untrained: Make, batch: Batch, training: bool
) -> None:
    subject = untrained(small()).train(training)
    subject.get_parameter("stem.0.weight").requires_grad_(False)
    before = {name: value.clone() for name, value in subject.state_dict().items()}
    everything(subject, batch)
    assert hooks(subject) == 0
    assert subject.training == training
    assert not subject.get_parameter("stem.0.weight").requires_grad
    assert subject.get_parameter("head.linear.weight").requires_grad
    assert all(parameter.grad is None for parameter in subject.parameters())
    for name, value in subject.state_dict().items():
        assert torch.equal(value, before[name]), name


def test_the_network_is_restored_when_attribution_fails(
    small: Small, untrained: Make, batch: Batch
) -> None:
    subject = untrained(small()).train()
    images, labels = batch
    with pytest.raises(RuntimeError):
        attribute(subject, images[:, :, :, :0], labels)

    def fail(name: str) -> None:
        if name == "integrated_gradients stage1.0":
            raise RuntimeError("enough")

    with pytest.raises(RuntimeError, match="enough"):
        attribute(subject, images, labels, on_layer=fail)
    assert hooks(subject) == 0
    assert subject.training
    assert subject.get_parameter("head.linear.weight").requires_grad


def test_on_layer_is_called_for_each_layer(small: Small, untrained: Make, batch: Batch) -> None:
    told: list[str] = []
    layers = ("stem", "stage2.1")
    found = attribute(untrained(small()), *batch, ("grad_cam",), layers, on_layer=told.append)
    assert [f"{one.method} {one.layer}" for one in found] == told
    assert told == ["grad_cam stem", "grad_cam stage2.1"]
