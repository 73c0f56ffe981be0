from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional

from ir2search.nn import InformationRecovery

Weights = dict[str, Tensor]


def block(weights: Weights, name: str, x: Tensor, groups: int = 1) -> Tensor:
    """Convolution, BatchNorm in evaluation and Hardtanh, from a state dict."""
    w = weights[f"{name}.0.weight"]
    y = functional.conv2d(x, w, padding=w.shape[-1] // 2, groups=groups)
    mean, var = weights[f"{name}.1.running_mean"], weights[f"{name}.1.running_var"]
    y = (y - mean[:, None, None]) / (var + 1e-5).sqrt()[:, None, None]
    y = y * weights[f"{name}.1.weight"][:, None, None] + weights[f"{name}.1.bias"][:, None, None]
    return y.clamp(-1, 1)


def pooled(x: Tensor, h: int, w: int) -> Tensor:
    """Mean over the cells of a grid whose borders are rounded outwards."""
    rows = [(r * x.shape[2] // h, -(-(r + 1) * x.shape[2] // h)) for r in range(h)]
    columns = [(c * x.shape[3] // w, -(-(c + 1) * x.shape[3] // w)) for c in range(w)]
    cells = [[x[:, :, a:b, c:d].mean(dim=(2, 3)) for c, d in columns] for a, b in rows]
    return torch.stack([torch.stack(row, dim=2) for row in cells], dim=2)


def prepared(module: InformationRecovery) -> InformationRecovery:
    """The module in float64 and evaluation mode, with random statistics and scales."""
    torch.manual_seed(1)
    for part in module.modules():
        if isinstance(part, nn.BatchNorm2d):
            assert part.running_mean is not None
            assert part.running_var is not None
            nn.init.normal_(part.weight)
            nn.init.normal_(part.bias)
            part.running_mean.normal_()
            part.running_var.uniform_(0.5, 2)
    return module.double().eval()


def maps(h: int, w: int) -> tuple[Tensor, list[Tensor]]:
    torch.manual_seed(2)
    last = torch.randn(2, 8, h, w, dtype=torch.float64)
    taps = [
        torch.randn(2, 3, 4 * h + 1, 4 * w, dtype=torch.float64),
        torch.randn(2, 5, 2 * h, 2 * w + 1, dtype=torch.float64),
    ]
    return last, taps


@pytest.mark.parametrize("size", [(4, 4), (3, 5), (1, 1)])
def test_dense_fusion_is_one_convolution_of_all_pooled_maps(size: tuple[int, int]) -> None:
    recovery = prepared(InformationRecovery([3, 5], 8))
    last, taps = maps(*size)
    everything = torch.cat([*(pooled(tap, *size) for tap in taps), last], dim=1)
    expected = block(recovery.state_dict(), "primary", everything)
    torch.testing.assert_close(recovery(last, *taps), expected)


@pytest.mark.parametrize(("channels", "group_size"), [(2, 1), (3, 1), (4, 2), (4, 4), (7, 1)])
def test_compact_fusion_is_a_primary_and_a_cheap_part_cut_to_size(
    channels: int, group_size: int
) -> None:
    recovery = prepared(InformationRecovery([3, 5], 8, channels=channels, group_size=group_size))
    last, taps = maps(4, 4)
    weights = recovery.state_dict()
    assert weights["cheap.0.weight"].shape[1] == group_size
    everything = torch.cat([*(pooled(tap, 4, 4) for tap in taps), last], dim=1)
    primary = block(weights, "primary", everything)
    cheap = block(weights, "cheap", primary, groups=channels // group_size)
    expected = torch.cat([primary, cheap], dim=1)[:, :8]
    assert primary.shape[1] == channels
    torch.testing.assert_close(recovery(last, *taps), expected)


@settings(max_examples=30)
@given(st.integers(2, 40), st.integers(1, 39), st.integers(1, 5))
def test_the_result_has_the_shape_of_the_last_maps_for_any_fusion_width(
    last_channels: int, channels: int, side: int
) -> None:
    channels = min(channels, last_channels - 1)
    recovery = InformationRecovery([2], last_channels, channels=channels).eval()
    last = torch.randn(1, last_channels, side, side)
    assert recovery(last, torch.randn(1, 2, 9, 9)).shape == last.shape


def test_without_taps_the_last_maps_are_unchanged() -> None:
    last = torch.randn(1, 8, 2, 2)
    recovery = InformationRecovery([], 8)
    assert torch.equal(recovery(last), last)
    assert not list(recovery.parameters())


def test_every_input_has_an_effect() -> None:
    recovery = prepared(InformationRecovery([3, 5], 8, channels=4))
    last, taps = maps(2, 2)
    inputs = [last, *taps]
    for tensor in inputs:
        tensor.requires_grad_()
    recovery(*inputs).sum().backward()
    assert all(tensor.grad is not None and (tensor.grad != 0).any() for tensor in inputs)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"channels": 0}, "from 1 to 7 channels, but got 0"),
        ({"channels": 8}, "from 1 to 7 channels, but got 8"),
        ({"channels": 4, "group_size": 3}, "`group_size` must divide the fusion width 4"),
    ],
)
def test_a_wrong_width_is_refused(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        InformationRecovery([4], 8, **arguments)
