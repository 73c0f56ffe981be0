from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from ir2search.models.teacher import StandardResNet


@pytest.mark.parametrize(("depth", "parameters"), [(18, 11_689_512), (34, 21_797_672)])
def test_a_standard_resnet_has_the_published_number_of_parameters(
    depth: int, parameters: int
) -> None:
    network = StandardResNet(depth, 1000)
    assert sum(p.numel() for p in network.parameters()) == parameters
    keys = set(network.state_dict())
    assert {"conv1.weight", "layer2.0.downsample.0.weight", "layer4.1.bn2.running_var"} <= keys
    assert {"fc.weight", "fc.bias"} <= keys


def test_resnet18_equals_the_published_one_in_plain_operations() -> None:
    torch.manual_seed(0)
    network = StandardResNet(18, 10).double().eval()
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias)
            assert module.running_mean is not None
            module.running_mean.normal_()
    w = network.state_dict()

    def bn(name: str, x: Tensor) -> Tensor:
        mean, var, a, b = (
            w[f"{name}.{k}"][:, None, None]
            for k in ("running_mean", "running_var", "weight", "bias")
        )
        return (x - mean) / (var + 1e-5).sqrt() * a + b

    def conv(name: str, x: Tensor, stride: int = 1) -> Tensor:
        kernel = w[f"{name}.weight"]
        return functional.conv2d(x, kernel, stride=stride, padding=kernel.shape[-1] // 2)

    x = images = torch.randn(2, 3, 64, 64, dtype=torch.float64)
    x = functional.max_pool2d(bn("bn1", conv("conv1", x, 2)).clamp_min(0), 3, 2, 1)
    for name in (f"layer{layer}.{block}" for layer in (1, 2, 3, 4) for block in (0, 1)):
        stride = 2 if name.endswith(".0") and name[5] != "1" else 1
        y = bn(f"{name}.bn1", conv(f"{name}.conv1", x, stride)).clamp_min(0)
        y = bn(f"{name}.bn2", conv(f"{name}.conv2", y))
        if stride == 2:
            x = bn(f"{name}.downsample.1", conv(f"{name}.downsample.0", x, 2))
        x = (x + y).clamp_min(0)
    expected = x.mean(dim=(2, 3)) @ w["fc.weight"].T + w["fc.bias"]
    torch.testing.assert_close(network(images), expected)
