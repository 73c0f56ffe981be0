from __future__ import annotations

import numpy as np
import torch

import ir2search as ir
from ir2search.latency.other_runtimes import float_twin, onnxruntime_float, onnxruntime_int8

TINY = ir.Candidate(depth=8, width=0.25, image=(3, 12, 12))


def test_other_runtimes_give_the_logits_of_the_network() -> None:
    torch.manual_seed(0)
    network = float_twin(TINY)
    images = np.random.default_rng(0).standard_normal((4, *TINY.image), dtype=np.float32)
    with torch.no_grad():
        expected = network(torch.from_numpy(images)).numpy()
    exact = onnxruntime_float(network, TINY.image, 1)(images)
    np.testing.assert_allclose(exact, expected, atol=1e-4)
    rounded = onnxruntime_int8(network, TINY.image, 1)(images)
    error = np.abs(rounded - expected).max()
    assert 0 < error < 0.3 * np.ptp(expected), "8 bits are near, but not the same"


def test_the_float_twin_has_no_binary_layer() -> None:
    network = float_twin(TINY)
    assert not network.training
    assert not any(isinstance(m, ir.BinaryConv2d) and m.is_binary for m in network.modules())
