from __future__ import annotations

from collections import OrderedDict

import pytest
import torch
from torch import Tensor, nn

from ir2search.information import LayerAttribution, attribute, cuts
from ir2search.models.network import TappedNetwork
from ir2search.space import Candidate, build

IMAGE = (1, 8, 8)


def network(candidate: Candidate) -> TappedNetwork:
    """An untrained network with statistics of its own in every BatchNorm."""
    torch.manual_seed(3)
    result = build(candidate)
    with torch.no_grad():
        for _ in range(3):
            result(torch.randn(64, *IMAGE))
    return result.eval()


def batch() -> tuple[Tensor, Tensor]:
    torch.manual_seed(5)
    return torch.randn(6, *IMAGE), torch.arange(6)


def candidate(**fields: object) -> Candidate:
    return Candidate(depth=8, width=0.25, image=IMAGE, **fields)  # type: ignore[arg-type]


def gap(layer: LayerAttribution) -> float:
    return float((layer.total - layer.change).abs().mean() / layer.change.abs().mean())


@pytest.mark.parametrize(
    ("taps", "bypasses"),
    [
        (
            ("stem", "stage2"),
            {
                "stem": (),
                "stage1.0": ("stem",),
                "stage1.1": ("stem",),
                "stage2.0": ("stem",),
                "stage2.1": ("stem",),
                "stage3.0": ("stem", "stage2.1"),
                "stage3.1": ("stem", "stage2.1"),
                "recovery": (),
            },
        ),
        ((), dict.fromkeys(["stem", *(f"stage{s}.{u}" for s in (1, 2, 3) for u in (0, 1))], ())),
    ],
)
def test_a_cut_is_a_layer_with_the_taps_that_bypass_it(
    taps: tuple[str, ...], bypasses: dict[str, tuple[str, ...]]
) -> None:
    found = cuts(network(candidate(taps=taps)))
    assert {cut.name: cut.bypassing for cut in found} == bypasses


def test_attributions_over_every_cut_of_a_smooth_network_sum_to_the_change() -> None:
    twin = network(candidate().twin())
    coarse = {layer.layer: gap(layer) for layer in attribute(twin, *batch(), steps=32)}
    fine = {layer.layer: gap(layer) for layer in attribute(twin, *batch(), steps=512)}
    assert max(fine.values()) < 0.03
    assert max(fine.values()) < max(coarse.values()) / 4, "what is left is the quadrature's error"


def test_attributions_of_a_binary_network_sum_to_the_change_after_its_last_sign_only() -> None:
    gaps = {layer.layer: gap(layer) for layer in attribute(network(candidate()), *batch())}
    assert gaps["recovery"] < 1e-4
    assert gaps["input"] > 0.1


def test_input_attributions_are_those_of_a_riemann_sum_in_float64() -> None:
    twin = network(candidate(taps=("stage1",)).twin())
    images, labels = batch()
    exact = twin.double()
    total = torch.zeros_like(images, dtype=torch.float64)
    steps = 1000
    for step in range(steps):
        point = (images.double() * ((step + 0.5) / steps)).requires_grad_()
        exact(point).gather(1, labels[:, None]).sum().backward()
        assert point.grad is not None
        total += point.grad * images.double() / steps
    expected = total.abs().sum(dim=1)
    found = next(iter(attribute(twin.float(), images, labels, steps=256))).map
    assert (found - expected).abs().sum() / expected.abs().sum() < 0.1


def test_the_last_layer_of_a_network_is_attributed_as_its_linear_head_has_it() -> None:
    binary = network(candidate(taps=()))
    images, labels = batch()
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
    found = list(attribute(binary, images, labels))[-1]
    assert found.layer == "stage3.1"
    torch.testing.assert_close(found.map, expected.double(), rtol=1e-4, atol=1e-6)


def hooks(module: nn.Module) -> int:
    kinds = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
    return sum(
        len(getattr(part, kind, OrderedDict())) for part in module.modules() for kind in kinds
    )


@pytest.mark.parametrize("training", [True, False])
def test_the_network_is_left_as_it_was(training: bool) -> None:
    subject = network(candidate()).train(training)
    subject.get_parameter("stem.0.weight").requires_grad_(False)
    before = {name: value.clone() for name, value in subject.state_dict().items()}
    list(attribute(subject, *batch()))
    assert hooks(subject) == 0
    assert subject.training == training
    assert not subject.get_parameter("stem.0.weight").requires_grad
    assert subject.get_parameter("head.linear.weight").requires_grad
    assert all(parameter.grad is None for parameter in subject.parameters())
    for name, value in subject.state_dict().items():
        assert torch.equal(value, before[name]), name


def test_the_network_is_left_as_it_was_when_attribution_fails() -> None:
    subject = network(candidate()).train()
    images, labels = batch()
    with pytest.raises(RuntimeError):
        list(attribute(subject, images[:, :, :, :0], labels))

    def fail(name: str) -> None:
        if name == "stage1.0":
            raise RuntimeError("enough")

    with pytest.raises(RuntimeError, match="enough"):
        list(attribute(subject, images, labels, fail))
    assert hooks(subject) == 0
    assert subject.training
    assert subject.get_parameter("head.linear.weight").requires_grad


def test_every_layer_is_told_of_once() -> None:
    told: list[str] = []
    subject = network(candidate())
    found = [layer.layer for layer in attribute(subject, *batch(), told.append)]
    assert told == found == ["input", *(cut.name for cut in cuts(subject))]
