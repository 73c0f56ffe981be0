from __future__ import annotations

from dataclasses import replace

import numpy as np
import onnxruntime
import pytest
import torch
from torch import Tensor, nn

import ir2search as ir
from ir2search.errors import InputError
from ir2search.export.onnx_graph import onnx_model

TINY = ir.Candidate(depth=8, width=0.25, image=(3, 12, 12))
NETWORKS = {
    "residual": TINY,
    "dense, odd sizes": replace(TINY, fusion="dense", image=(3, 11, 13), activation="rprelu"),
    "shifted signs": replace(TINY, shift=True, standardise=True, activation="prelu"),
    "real twin": replace(TINY, weights="real", activations="real"),
    "basic": ir.Candidate(
        backbone="cifar-basic-resnet", depth=18, width=0.06, image=(3, 12, 12), taps=("stem",),
        fusion_ratio=2,
    ),
    "vgg": ir.Candidate(
        backbone="cifar-vgg", depth=7, width=0.04, image=(3, 12, 12), taps=(), fusion="none"
    ),
    "imagenet": ir.Candidate(
        backbone="imagenet-resnet", depth=18, width=0.06, image=(3, 45, 45), fusion="dense",
        taps=("stem", "stage1", "stage3"), activation="prelu", classes=7,
    ),
}  # fmt: skip


def _trained(candidate: ir.Candidate) -> nn.Module:
    """A network of which every parameter and statistic changes the logits."""
    torch.manual_seed(5)
    network = ir.build(candidate).eval()
    with torch.no_grad():
        for name, value in network.state_dict().items():
            if name.endswith("running_var"):
                value.uniform_(1, 3)
            elif value.is_floating_point():
                value.add_(0.1 * torch.randn_like(value))
    return network


def _logits(network: nn.Module, images: Tensor) -> tuple[np.ndarray, np.ndarray]:
    """Logits of torch and of onnxruntime, (N, classes) each."""
    image = (int(images.shape[1]), int(images.shape[2]), int(images.shape[3]))
    session = onnxruntime.InferenceSession(onnx_model(network, image).SerializeToString())
    (ours,) = session.run(["logits"], {"images": images.numpy()})
    with torch.no_grad():
        return network(images).numpy(), ours


@pytest.mark.parametrize("name", NETWORKS)
def test_onnxruntime_gives_torchs_logits_for_any_batch_size(name: str) -> None:
    candidate = NETWORKS[name]
    network = _trained(candidate)
    for count in (1, 5):
        expected, found = _logits(network, torch.randn(count, *candidate.image))
        np.testing.assert_allclose(found, expected, atol=2e-4, rtol=1e-4)


def test_a_sign_of_zero_is_plus_one() -> None:
    conv = ir.BinaryConv2d(1, 1, 1, padding=0)
    nn.init.constant_(conv.weight, 0.0)
    network = nn.Sequential(conv, nn.Flatten(), nn.Linear(3, 1, bias=True)).eval()
    expected, found = _logits(network, torch.tensor([[[[-1.0, 0.0, -0.0]]]]))
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    with torch.no_grad():
        assert conv(torch.zeros(1, 1, 1, 1)).item() == 1


def test_a_layer_that_cannot_be_exported_is_named() -> None:
    with pytest.raises(InputError, match="a GELU cannot be exported"):
        onnx_model(nn.Sequential(nn.GELU()), (3, 4, 4))
