"""A fixed network whose time shows how fast the machine is at that moment."""

from __future__ import annotations

import numpy as np

from ir2search.runtime import Graph, GraphBuilder

SIDE, CHANNELS, BLOCKS = 16, 64, 4


def reference_network() -> Graph:
    """A stem, four residual units of 64 binary channels and a head, for images of 3 x 16 x 16.

    It has the operations that take most of a network's time on the runtime, so other work on the
    machine slows both by the same factor.
    """
    generator = np.random.default_rng(0)
    builder = GraphBuilder((3, SIDE, SIDE))
    ones, zeros = np.ones(CHANNELS, np.float32), np.zeros(CHANNELS, np.float32)

    def add_norm_and_activation(value: int, shortcut: int | None = None) -> int:
        value = builder.add("norm", [value], tensors={"scale": ones, "shift": zeros})
        value = value if shortcut is None else builder.add("add", [value, shortcut])
        return builder.add("hardtanh", [value])

    window = {"size": 3, "stride": 1, "padding": 1, "outputs": CHANNELS}
    weight = generator.standard_normal((CHANNELS, 3, 3, 3)).astype(np.float32)
    stem = builder.add("conv", [0], "stem", {"weight": weight}, groups=1, **window)
    value = add_norm_and_activation(stem)
    for _ in range(BLOCKS):
        signs = builder.add("sign", [value])
        bits = generator.integers(0, 256, CHANNELS * CHANNELS * 9 // 8).astype(np.uint8)
        convolved = builder.add("binary_conv", [signs], "conv", {"weight": bits}, **window)
        value = add_norm_and_activation(convolved, value)
    value = builder.add("adaptive_pool", [value], height=1, width=1)
    value = builder.add("flatten", [value])
    matrix = generator.standard_normal((10, CHANNELS)).astype(np.float32)
    head = {"weight": matrix, "bias": np.zeros(10, np.float32)}
    builder.add("linear", [value], tensors=head, outputs=10)
    return builder.graph()
