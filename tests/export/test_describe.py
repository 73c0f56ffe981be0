from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

import ir2search as ir
from ir2search.errors import CandidateError
from ir2search.export.describe import describe
from ir2search.export.onnx_graph import onnx_model
from ir2search.models.network import TappedNetwork
from ir2search.runtime import PackedNetwork
from ir2search.zoo.onnx_file import onnx_run

Trained = Callable[[ir.Candidate], TappedNetwork]
C = ir.Candidate

# odd sides, channels that do not fill a word, each activation, each recovery, thresholds,
# networks with only binary weights or only binary activations
CASES = {
    "paper": C(image=(3, 16, 16)),
    "odd": C(depth=8, width=0.75, image=(1, 9, 7), classes=3),
    "reactnet": C(
        depth=8, fusion="dense", activation="rprelu", shift=True, standardise=True,
        image=(3, 12, 12),
    ),
    "groups": C(depth=8, fusion_group_size=4, image=(3, 8, 8)),
    "blocks": C(
        backbone="cifar-basic-resnet", depth=18, taps=("stem", "stage3"), width=0.3,
        fusion_ratio=20, image=(3, 17, 11),
    ),
    "vgg": C(
        backbone="cifar-vgg", depth=7, taps=("stem", "conv2"), width=0.6, image=(3, 19, 16),
        activation="prelu",
    ),
    "imagenet": replace(
        ir.preset("imagenet-resnet18-D"), image=(3, 39, 33), width=1.1, classes=7
    ),
    "shape": C(
        depth=8, stem_width=1.5, stem_kernel=2, stem_stride=2, widths=(1, 0.3, 2.0),
        image=(3, 17, 16),
    ),
    "shape of vgg": C(
        backbone="cifar-vgg", depth=7, taps=("stem", "conv4"), width=0.1, stem_kernel=5,
        widths=(1, 0.5, 2, 1, 0.3), image=(1, 20, 16),
    ),
    "pixels of 8 bits": C(depth=8, stem="int8", width=0.5, image=(3, 11, 8)),
    "thermometer": C(depth=8, stem="thermometer", stem_levels=5, shift=True, image=(3, 8, 9)),
    "thermometer, real": C(depth=8, stem="thermometer", activations="real", image=(1, 8, 8)),
    "kernels and groups by stage": C(
        depth=8, kernels=(1, 3, 5), groups=(2, 4, 1), shift=True, image=(3, 9, 8)
    ),
    "groups of blocks": C(
        backbone="cifar-basic-resnet", depth=18, taps=("stage2",), width=0.0625,
        groups=(4, 2, 8, 2), kernels=(1, 3, 1, 3), image=(3, 16, 8),
    ),
    "real weights": C(depth=8, weights="real", image=(3, 8, 8)),
    "real activations": C(depth=8, activations="real", image=(3, 8, 8)),
    "precision by layer": C(
        depth=14, width=0.5, int8_layers=("stage1", "stage3.1"), real_layers=("stage2.1", "stage3"),
        shift=True, activation="rprelu", image=(3, 9, 8),
    ),
    "precision of blocks": C(
        backbone="cifar-basic-resnet", depth=18, width=0.1, taps=("stage2",), image=(3, 9, 8),
        real_layers=("stage1.0.conv2", "stage3.1"), int8_layers=("stage2",),
    ),
    "precision of vgg": C(
        backbone="cifar-vgg", depth=7, width=0.05, taps=("conv1",), image=(3, 16, 16),
        real_layers=("conv2",), int8_layers=("conv4",),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_packed_and_onnx_give_the_logits_of_the_network(name: str, trained: Trained) -> None:
    candidate = CASES[name]
    network = trained(candidate)
    images = torch.randn(6, *candidate.image)
    with torch.no_grad():
        wanted = network(images).numpy()
    graph = describe(network, candidate.image)
    allowed = 2e-3 * np.abs(wanted).max()
    packed = PackedNetwork(graph, threads=2)
    onnx = onnx_run(onnx_model(network, candidate.image).SerializeToString())
    for batch in (6, 1, 3):
        given = images[:batch].numpy()
        np.testing.assert_allclose(packed.logits(given), wanted[:batch], atol=allowed)
        np.testing.assert_allclose(onnx(given), wanted[:batch], atol=allowed)


def test_signs_without_a_shortcut_become_comparisons_with_whole_numbers(trained: Trained) -> None:
    candidate = CASES["blocks"]
    network = PackedNetwork(describe(trained(candidate), candidate.image))
    alone = [unit for unit in network.units if unit.kind == "binary_conv" and unit.real is None]
    assert len(alone) == 8, "the first convolution of each block"
    assert all(unit.norm is not None and unit.signs is not None for unit in alone)


def test_a_layer_of_another_package_is_refused(trained: Trained) -> None:
    network = trained(C(depth=8, image=(3, 8, 8)))
    network.head.append(nn.GELU())
    with pytest.raises(CandidateError, match=r"head\.\w+: a GELU cannot be exported"):
        describe(network, (3, 8, 8))
