"""A fixed network that is timed beside others: it shows how fast the machine is at that moment."""

from __future__ import annotations

from typing import Any

import numpy as np

from ir2search.runtime import Graph
from ir2search.runtime.graph import Array, check_graph

SIDE, CHANNELS, BLOCKS = 16, 64, 4


def reference_network() -> Graph:
    """A stem, four residual units of 64 binary channels and a head, for images of 3 x 16 x 16.

    It has the operations that take most of the time of a network on the runtime, so that other
    work on the machine slows both alike.
    """
    tensors: dict[str, Array] = {}
    nodes: list[dict[str, Any]] = []
    generator = np.random.default_rng(0)

    def add(op: str, inputs: list[int], numbers: dict[str, Any], **own: Array) -> int:
        names = {role: f"{len(nodes)}.{role}" for role in own}
        tensors.update({names[role]: tensor for role, tensor in own.items()})
        nodes.append({"op": op, "inputs": inputs, "numbers": numbers, "tensors": names})
        return len(nodes)

    def add_norm_and_activation(value: int, shortcut: int | None = None) -> int:
        ones, zeros = np.ones(CHANNELS, np.float32), np.zeros(CHANNELS, np.float32)
        value = add("norm", [value], {}, scale=ones, shift=zeros)
        value = value if shortcut is None else add("add", [value, shortcut], {})
        return add("hardtanh", [value], {})

    window = {"size": 3, "stride": 1, "padding": 1, "outputs": CHANNELS}
    weights = generator.standard_normal((CHANNELS, 3, 3, 3)).astype(np.float32)
    value = add_norm_and_activation(add("conv", [0], window | {"groups": 1}, weight=weights))
    for _ in range(BLOCKS):
        signs = add("sign", [value], {})
        bits = generator.integers(0, 256, CHANNELS * CHANNELS * 9 // 8).astype(np.uint8)
        convolved = add("binary_conv", [signs], window, weight=bits)
        value = add_norm_and_activation(convolved, value)
    value = add("adaptive_pool", [value], {"height": 1, "width": 1})
    value = add("flatten", [value], {})
    matrix = generator.standard_normal((10, CHANNELS)).astype(np.float32)
    add("linear", [value], {"outputs": 10}, weight=matrix, bias=np.zeros(10, np.float32))
    return check_graph({"image": [3, SIDE, SIDE], "nodes": nodes}, tensors)
