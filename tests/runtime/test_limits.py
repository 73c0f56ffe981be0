from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import ir2search as ir
from ir2search.export import candidate_graph
from ir2search.kernels import inference
from ir2search.kernels.inference import Form
from ir2search.runtime import PackedNetwork, lowering
from ir2search.runtime.limits import limits

ROLES = ("scale", "shift", "knee", "slope", "rise", "threshold")


@given(st.integers(1, 40), st.integers(0, 2**16), st.sampled_from(["none", "hardtanh", "prelu"]))
def test_limits_give_the_sign_of_every_sum(most: int, seed: int, activation: str) -> None:
    generator = np.random.default_rng(seed)
    arrays = {role: generator.standard_normal(5).astype(np.float32) for role in ROLES}
    arrays["scale"] *= 0.1
    form = {
        "none": Form(0), "hardtanh": Form.HARDTANH, "prelu": Form.PRELU | Form.SHIFTED,
    }[activation]  # fmt: skip
    found = limits(Form.SCALE | Form.SHIFT | form, arrays, -most, most)
    sums = np.arange(-most, most + 1)[:, None].astype(np.float32)
    x = sums * arrays["scale"] + arrays["shift"]
    if activation == "hardtanh":
        x = x.clip(-1, 1)
    elif activation == "prelu":
        x = x - arrays["knee"]
        x = np.where(x > 0, x, x * arrays["slope"]) + arrays["rise"]
    expected = x >= arrays["threshold"]
    if found is None:
        changes = (expected[1:] != expected[:-1]).sum(axis=0)
        assert changes.max() > 1
        assert activation == "prelu"
        assert arrays["slope"].min() < 0
    else:
        np.testing.assert_array_equal(found[0] * sums.astype(int) >= found[1], expected)


@pytest.mark.parametrize("variant", inference.variants(), ids=lambda variant: variant.name)
def test_limits_of_whole_numbers_change_no_logit(
    variant: inference.Variant, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The network has convolutions that make signs which no shortcut needs."""
    graph = candidate_graph(
        ir.Candidate(
            backbone="cifar-basic-resnet", depth=18, image=(3, 8, 8), width=0.1, shift=True
        )
    )
    images = np.random.default_rng(0).standard_normal((2, 3, 8, 8), dtype=np.float32)
    network = PackedNetwork(graph, variant=variant)
    assert any(step.form == Form.LIMITS for step in network.program.steps)
    expected = network.logits(images)
    monkeypatch.setattr(lowering, "LARGEST_TABLE", 0)
    np.testing.assert_array_equal(PackedNetwork(graph, variant=variant).logits(images), expected)
