from __future__ import annotations

import numpy as np
import pytest

import ir2search as ir
from ir2search.export import candidate_graph
from ir2search.runtime import PackedNetwork, steps

# a network whose convolutions make signs that no shortcut needs
BASIC = ir.Candidate(backbone="cifar-basic-resnet", depth=18, image=(3, 8, 8), width=0.1)


def test_limits_of_whole_numbers_change_no_logit(monkeypatch: pytest.MonkeyPatch) -> None:
    graph = candidate_graph(BASIC)
    images = np.random.default_rng(0).standard_normal((2, 3, 8, 8), dtype=np.float32)
    expected = PackedNetwork(graph).logits(images)
    monkeypatch.setattr(steps, "LARGEST_TABLE", 0)
    np.testing.assert_array_equal(PackedNetwork(graph).logits(images), expected)


def test_the_estimate_of_a_call_grows_with_batch_and_channels() -> None:
    def seconds(width: float, batch: int) -> float:
        network = PackedNetwork(candidate_graph(ir.Candidate(width=width, image=(3, 8, 8))))
        network.logits(np.zeros((batch, 3, 8, 8), np.float32))
        return sum(call.seconds for call in network._calls)

    assert seconds(1.0, 2) == pytest.approx(2 * seconds(1.0, 1))
    assert seconds(4.0, 1) > 2 * seconds(1.0, 1)
