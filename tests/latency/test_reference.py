from __future__ import annotations

import numpy as np

from ir2search.latency.reference import reference_network
from ir2search.runtime import PackedNetwork


def test_the_reference_is_a_network_that_the_runtime_runs() -> None:
    logits = PackedNetwork(reference_network()).logits(np.ones((1, 3, 16, 16), np.float32))
    assert logits.shape == (1, 10)
    assert np.isfinite(logits).all()
    assert np.ptp(logits) > 0
