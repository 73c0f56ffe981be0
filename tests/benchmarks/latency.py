"""The runtime against onnxruntime in float32 and in 8 bits, on this machine; medians of one run.

python tests/benchmarks/latency.py [--seconds 2]
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from torch import nn

import ir2search as ir
from ir2search.export import candidate_graph
from ir2search.latency import time_in_turns
from ir2search.latency.other_runtimes import onnxruntime_float, onnxruntime_int8
from ir2search.runtime import PackedNetwork, Timing, write_packed
from ir2search.runtime.graph import Graph, Node

CONVOLUTIONS = ((64, 56), (128, 28), (256, 14), (512, 7))  # channels and side, as in ResNet-18
NETWORKS = (("cifar-resnet20", 1), ("imagenet-resnet18-D", 2))  # with threads
FILES = ("cifar-resnet20", "cifar-resnet18", "cifar-vgg-small", "imagenet-resnet18-D")
RUNTIMES = ("runtime", "onnxruntime", "int8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("--torch", action="store_true", help="compiled torch, too")
    given = parser.parse_args()
    for channels, side in CONVOLUTIONS:
        convolution(channels, side, given.seconds)
    for name, threads in NETWORKS:
        network(name, threads, given.seconds, (*RUNTIMES, "torch") if given.torch else RUNTIMES)
    for name in FILES:
        size(name)


def convolution(channels: int, side: int, seconds: float) -> None:
    """A 3x3 convolution from signs to numbers, on one thread."""
    layer = nn.Conv2d(channels, channels, 3, padding=1, bias=False).eval()
    image = (channels, side, side)
    x = np.random.default_rng(0).standard_normal((1, *image), dtype=np.float32)
    head = nn.Sequential(layer, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, 1))
    runtimes: dict[str, Callable[[], object]] = {"runtime": binary_call(channels, side)}
    for name, make in (("onnxruntime", onnxruntime_float), ("int8", onnxruntime_int8)):
        run = make(head, image, 1)
        runtimes[name] = lambda run=run: run(x)  # type: ignore[misc]
    show(
        f"3x3, {channels} channels, {side} x {side}, 1 thread",
        time_in_turns(runtimes, seconds=seconds),
    )


def binary_call(channels: int, side: int) -> Callable[[], object]:
    bits = np.random.default_rng(0).integers(0, 256, channels * channels * 9 // 8, dtype=np.uint8)
    shape = (side, side, channels)
    numbers = {"size": 3, "stride": 1, "padding": 1, "outputs": channels}
    nodes = (
        Node("sign", (0,), {}, {}, shape, "sign"),
        Node("binary_conv", (1,), numbers, {"weight": bits}, shape, "conv"),
    )
    network = PackedNetwork(Graph(shape, nodes))
    network.logits(np.ones((1, channels, side, side), np.float32))
    return lambda: network.run_steps(1, 2)


def network(name: str, threads: int, seconds: float, runtimes: tuple[str, ...]) -> None:
    found = ir.latency(name, threads=[threads], runtimes=runtimes, seconds=seconds)
    timings = {row.runtime: row.timing for row in found.rows}
    show(f"{name}, batch 1, {threads} threads", timings)


def show(title: str, timings: dict[str, Timing]) -> None:
    own = timings["runtime"].median
    parts = [
        f"{runtime} {1000 * timing.median:.3f} ms ({timing.median / own:.1f}x)"
        for runtime, timing in timings.items()
    ]
    print(f"{title}: {', '.join(parts)}")


def size(name: str) -> None:
    candidate = ir.preset(name)
    graph = candidate_graph(candidate)
    with TemporaryDirectory() as folder:
        file = Path(folder) / "network.packed"
        write_packed(file, graph)
        packed = file.stat().st_size
    price = ir.cost(candidate)
    full = ir.cost(replace(candidate, weights="real", activations="real")).packed_bytes
    tensors = [tensor for node in graph.nodes for tensor in node.tensors.values()]
    header = packed - sum(tensor.nbytes for tensor in tensors)
    real = price.packed_bytes - price.binary_parameters / 8  # all that is not binary, in 32 bits
    print(
        f"{name}: {full:,.0f} bytes in float32, {packed:,} packed ({full / packed:.1f}x), "
        f"of which {header:,} header; {full / price.packed_bytes:.1f}x without the header, "
        f"{full / real:.1f}x if binary weights took no space"
    )


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
