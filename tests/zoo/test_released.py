"""The authors' weights on our networks.

`released/*.json` has the names and shapes of all tensors in the authors' checkpoints. The reference
below follows the paper's description, with plain torch operations on these tensors.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor
from torch.nn import functional

import ir2search as ir
from ir2search.errors import WeightsError
from ir2search.training.weights import read_weights

KEYS = Path(__file__).parent / "released"
NAMES = sorted(path.stem for path in KEYS.glob("*.json"))
Weights = dict[str, Tensor]


def checkpoint(name: str, dtype: torch.dtype = torch.float64) -> Weights:
    """Random tensors of the published shapes."""
    generator = torch.Generator().manual_seed(sum(map(ord, name)))

    def tensor(key: str, shape: list[int]) -> Tensor:
        if key.endswith("num_batches_tracked"):
            return torch.tensor(1000)
        x = torch.randn(shape, generator=generator, dtype=torch.float64)
        if key.endswith("running_var"):
            x = 4 + x.abs()
        elif "prelu" in key:
            x = 0.25 + 0.1 * x
        elif len(shape) == 1 and key.endswith("weight"):
            x = 1 + 0.2 * x
        elif len(shape) in (2, 4) and not key.endswith("weights"):
            x = x / x[0].numel() ** 0.5
        return x.to(dtype)

    return {key: tensor(key, shape) for key, shape in json.loads(read(name)).items()}


def read(name: str) -> str:
    return (KEYS / f"{name}.json").read_text()


class Reference:
    """The operations of the released networks, in evaluation."""

    def __init__(self, weights: Weights) -> None:
        self.weights = weights

    def bn(self, name: str, x: Tensor) -> Tensor:
        scale, shift, mean, var = (
            self.weights[f"{name}.{key}"].view(1, -1, *[1] * (x.ndim - 2))
            for key in ("weight", "bias", "running_mean", "running_var")
        )
        return (x - mean) / torch.sqrt(var + 1e-5) * scale + shift

    def binary(self, x: Tensor, w: Tensor, stride: int = 1) -> Tensor:
        def levels(t: Tensor) -> Tensor:
            return torch.where(t < 0, -torch.ones_like(t), torch.ones_like(t))

        return functional.conv2d(levels(x), levels(w), stride=stride, padding=1)

    def prelu(self, name: str, x: Tensor) -> Tensor:
        slope = self.weights[f"{name}.weight"].view(1, -1, 1, 1)
        return torch.where(x > 0, x, slope * x)

    def act(self, name: str, x: Tensor) -> Tensor:
        """PReLU where the checkpoint has one, else Hardtanh."""
        return self.prelu(name, x) if f"{name}.weight" in self.weights else x.clamp(-1, 1)

    def fuse(self, taps: list[Tensor], last: Tensor, groups_of: int) -> Tensor:
        size = (last.shape[2], last.shape[3])
        x = torch.cat([*(functional.adaptive_avg_pool2d(tap, size) for tap in taps), last], 1)
        if "fusion.weight" in self.weights:
            x = functional.conv2d(x, self.weights["fusion.weight"])
            return self.prelu("fprelu", self.bn("fbn", x))
        p, c = "fusion.primary_conv", "fusion.cheap_operation"
        first = functional.conv2d(x, self.weights[f"{p}.0.weight"])
        first = self.act(f"{p}.2", self.bn(f"{p}.1", first))
        w = self.weights[f"{c}.0.weight"]
        second = functional.conv2d(first, w, padding=1, groups=first.shape[1] // groups_of)
        second = self.act(f"{c}.2", self.bn(f"{c}.1", second))
        return torch.cat([first, second], dim=1)[:, : last.shape[1]]


def resnet20(weights: Weights, x: Tensor) -> Tensor:
    net = Reference(weights)
    x = net.bn("bn1", functional.conv2d(x, weights["conv1.weight"], padding=1)).clamp(-1, 1)
    maps = [x]
    for layer in (1, 2, 3):
        for block, conv in ((b, c) for b in range(3) for c in (1, 2)):
            stride = 2 if layer > 1 and block == 0 and conv == 1 else 1
            name = f"layer{layer}.{block}"
            y = net.bn(
                f"{name}.bn{conv}", net.binary(x, weights[f"{name}.conv{conv}.weight"], stride)
            )
            if stride == 2:
                side = x.shape[1] // 2
                x = functional.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, side, side))
            x = (x + y).clamp(-1, 1)
        maps.append(x)
    x = net.fuse(maps[:3], x, groups_of=1)
    x = net.bn("bn2", x.mean(dim=(2, 3)))
    return x @ weights["linear.weight"].T + weights["linear.bias"]


def resnet18_cifar(weights: Weights, x: Tensor) -> Tensor:
    net = Reference(weights)
    x = net.bn("bn1", functional.conv2d(x, weights["conv1.weight"], padding=1)).clamp(-1, 1)
    maps = [x]
    for layer in (1, 2, 3, 4):
        for block in (0, 1):
            name, stride = f"layer{layer}.{block}", 2 if layer > 1 and block == 0 else 1
            y = net.binary(x, weights[f"{name}.conv1.weight"], stride)
            y = net.bn(f"{name}.bn1", y).clamp(-1, 1)
            y = net.bn(f"{name}.bn2", net.binary(y, weights[f"{name}.conv2.weight"]))
            if stride == 2:
                w = weights[f"{name}.shortcut.0.weight"]
                x = net.bn(f"{name}.shortcut.1", functional.conv2d(x, w, stride=2))
            x = (x + y).clamp(-1, 1)
        maps.append(x)
    x = net.fuse(maps[:4], x, groups_of=1)
    x = net.bn("bn2", x.mean(dim=(2, 3)))
    return x @ weights["linear.weight"].T + weights["linear.bias"]


def vgg_small(weights: Weights, x: Tensor) -> Tensor:
    net = Reference(weights)
    x = net.bn("bn0", functional.conv2d(x, weights["conv0.weight"], padding=1)).clamp(-1, 1)
    stem = x
    for layer in (1, 2, 3, 4, 5):
        x = net.binary(x, weights[f"conv{layer}.weight"])
        if layer in (1, 3, 5):
            x = functional.max_pool2d(x, 2)
        x = net.bn(f"bn{layer}", x).clamp(-1, 1)
    x = net.fuse([stem], x, groups_of=1)
    return x.flatten(1) @ weights["fc.weight"].T + weights["fc.bias"]


def resnet18_imagenet(weights: Weights, x: Tensor) -> Tensor:
    net = Reference(weights)
    x = functional.conv2d(x, weights["conv1.weight"], stride=2, padding=3)
    x = net.prelu("prelu", net.bn("bn1", x))
    maps = [x]
    x = functional.max_pool2d(x, 3, 2, 1)
    for layer in (1, 2, 3, 4):
        for unit in range(4):
            name, stride = f"layer{layer}.{unit}", 2 if layer > 1 and unit == 0 else 1
            outputs = weights[f"{name}.bn1.weight"].numel()
            w = weights[f"{name}.binary_conv.weights"].view(outputs, x.shape[1], 3, 3)
            y = net.bn(f"{name}.bn1", net.binary(x, w, stride))
            if stride == 2:
                x = functional.avg_pool2d(x, 2)
                x = functional.conv2d(x, weights[f"{name}.downsample.1.weight"])
                x = net.bn(f"{name}.downsample.2", x)
            x = net.prelu(f"{name}.prelu", x + y)
        maps.append(x)
    x = net.fuse(maps[:4], x, groups_of=weights.get("fusion.cheap_operation.0.weight", x).shape[1])
    x = net.bn("bn2", x.mean(dim=(2, 3)))
    return x @ weights["fc.weight"].T + weights["fc.bias"]


REFERENCES: dict[str, Callable[[Weights, Tensor], Tensor]] = {
    "cifar-resnet20": resnet20,
    "cifar-resnet18": resnet18_cifar,
    "cifar-vgg-small": vgg_small,
    **{f"imagenet-resnet18-{variant}": resnet18_imagenet for variant in "ABCD"},
}


@pytest.mark.parametrize("name", NAMES)
def test_logits_equal_those_of_the_released_network(name: str) -> None:
    weights = checkpoint(name)
    side = 32 if name.startswith("cifar") else 64
    torch.manual_seed(0)
    images = torch.randn(2, 3, side, side, dtype=torch.float64)
    network = ir.load_released(name, {k: v.float() for k, v in weights.items()})
    with torch.no_grad():
        expected = REFERENCES[name]({k: v.float().double() for k, v in weights.items()}, images)
        found = network.double()(images)
    assert expected.std() > 0.05, "constant logits would agree too"
    torch.testing.assert_close(found, expected, rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize("name", ["cifar-resnet20", "imagenet-resnet18-A"])
@pytest.mark.parametrize(
    "wrapped",
    [
        lambda weights: {f"module.{key}": value for key, value in weights.items()},
        lambda weights: {"state_dict": weights, "epoch": 499, "best_prec1": 87.2},
        lambda weights: {"state_dict": {f"module.{k}": v for k, v in weights.items()}},
    ],
    ids=["module", "state_dict", "both"],
)
def test_prefix_and_wrapper_make_no_difference(
    name: str, wrapped: Callable[[Weights], dict[str, Any]]
) -> None:
    weights = checkpoint(name, torch.float32)
    plain = ir.load_released(name, weights).state_dict()
    found = ir.load_released(name, wrapped(weights))
    assert not found.training
    for key, value in found.state_dict().items():
        assert torch.equal(value, plain[key]), key


def test_missing_and_unknown_tensors_and_wrong_shapes_are_listed() -> None:
    weights = checkpoint("cifar-resnet20")
    del weights["bn1.bias"], weights["linear.weight"]
    weights["layer9.weight"] = torch.zeros(1)
    weights["linear.bias"] = torch.zeros(100)
    with pytest.raises(WeightsError) as caught:
        ir.load_released("cifar-resnet20", weights)
    sentence = str(caught.value)
    assert "missing: bn1.bias, linear.weight" in sentence
    assert "unknown: layer9.weight" in sentence
    assert "of another shape: linear.bias (100,) for (10,)" in sentence


def test_weights_of_another_network_are_refused() -> None:
    with pytest.raises(WeightsError, match=r"not those of cifar-resnet18: missing: .* more"):
        ir.load_released("cifar-resnet18", checkpoint("cifar-vgg-small"))
    with pytest.raises(WeightsError, match="has no state_dict"):
        ir.load_released("cifar-resnet20", {"state_dict": 3})  # type: ignore[dict-item]


@pytest.mark.parametrize("suffix", [".safetensors", ".pth", ".pth.tar", ".th"])
def test_every_kind_of_file_is_read(tmp_path: Path, suffix: str) -> None:
    weights = checkpoint("cifar-resnet20", torch.float32)
    file = tmp_path / f"weights{suffix}"
    if suffix == ".safetensors":
        save_file(weights, file)
    else:
        torch.save({"state_dict": weights, "epoch": 3}, file)
    network = ir.load_released("cifar-resnet20", read_weights(file))
    assert torch.equal(network.get_parameter("head.linear.bias"), weights["linear.bias"])
