from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from ir2search.errors import InputError
from ir2search.space import Candidate, build
from ir2search.training import pick_device
from ir2search.training.device import channels_last


@pytest.mark.parametrize("name", ["toaster", "cuda:99", "cpu:1", "meta:oops"])
def test_an_unavailable_device_is_named(name: str) -> None:
    with pytest.raises(InputError, match=f"device '{name}' is not available .*; try cpu"):
        pick_device(name)


def test_a_misspelt_device_gets_a_suggestion() -> None:
    with pytest.raises(InputError, match=r"no such device.*; did you mean 'cuda'"):
        pick_device("cdua:1")


def test_auto_is_a_gpu_if_there_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert pick_device("auto").type == "cpu"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    if torch.cuda.device_count():
        assert pick_device("auto").type == "cuda"
    else:
        with pytest.raises(InputError, match="device 'cuda' is not available"):
            pick_device("auto")


def test_a_cpu_keeps_the_order_of_memory() -> None:
    images = torch.randn(2, 3, 8, 8)
    assert channels_last(images) is images


def test_with_channels_last_the_gradient_is_the_same() -> None:
    """What a GPU computes, on the CPU: torch's own operations, here in float64."""
    torch.manual_seed(0)
    network = build(Candidate(depth=8, width=0.5)).double().train()
    images, labels = torch.randn(8, 3, 32, 32).double(), torch.arange(8)

    def gradient(images: Tensor) -> Tensor:
        network.zero_grad()
        functional.cross_entropy(network(images), labels).backward()
        return torch.cat([each.grad.flatten() for each in network.parameters()])  # type: ignore[union-attr]

    last = images.contiguous(memory_format=torch.channels_last)
    assert torch.allclose(gradient(images), gradient(last), atol=1e-9)
