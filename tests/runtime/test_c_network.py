"""The C runtime against the compiled loops of numba, which sum in another order."""

from __future__ import annotations

import numpy as np
import pytest

import ir2search as ir
from ir2search.export import candidate_graph
from ir2search.kernels import inference
from ir2search.runtime import PackedNetwork
from ir2search.runtime.c_network import PackedNetwork as CNetwork

NETWORKS = {
    "recovery": ir.Candidate(depth=8, image=(3, 8, 8), activation="rprelu"),
    "blocks": ir.Candidate(backbone="cifar-basic-resnet", depth=18, image=(3, 9, 8), width=0.2),
    "vgg": ir.Candidate(
        backbone="cifar-vgg", depth=7, image=(3, 16, 16), width=0.1, taps=(), fusion="none"
    ),
    "groups": ir.Candidate(depth=8, kernels=(1, 3, 5), groups=(2, 4, 1), image=(3, 9, 8)),
    "thermometer": ir.Candidate(depth=8, stem="thermometer", image=(3, 8, 8)),
    "pixels of 8 bits": ir.Candidate(depth=8, stem="int8", image=(3, 8, 8)),
    "real weights": ir.Candidate(depth=8, weights="real", image=(3, 8, 8)),
}


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("threads", [1, 2])
def test_logits_are_those_of_the_other_runtime(name: str, threads: int) -> None:
    graph = candidate_graph(NETWORKS[name])
    images = np.random.default_rng(0).standard_normal((3, *NETWORKS[name].image), dtype=np.float32)
    wanted = PackedNetwork(graph).logits(images)
    for variant in inference.variants():
        network = CNetwork(graph, threads, variant)
        np.testing.assert_allclose(network.logits(images), wanted, rtol=1e-4, atol=1e-5)
        np.testing.assert_array_equal(network.logits(images[:1]), network.logits(images)[:1])
        assert len(network.seconds_by_unit(images)) == len(network.units)
