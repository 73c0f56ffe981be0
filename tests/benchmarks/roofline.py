"""How near is each layer of a training step to the limits of this machine?

Measures how fast one core copies memory and multiplies float32 matrices. Prints for each shape of a
binary unit (convolution, BatchNorm, shortcut, Hardtanh) its products, the bytes that it must read
and write, its time, and the share of the limit: the time that memory or arithmetic alone would
need, divided by the measured time. Small maps stay in a cache, which is faster than memory.

    OMP_NUM_THREADS=1 python tests/benchmarks/roofline.py
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn

from ir2search.kernels.training import description, is_bfloat16, keep_memory
from ir2search.nn import BinaryConv2d

REPEATS = 9
FLOAT, WHOLE = 4, 2  # bytes of a feature map's value, and of a sum of signs
# Products, compared with those of a product of float32 matrices, in loops of nothing else on an AMD
# EPYC of the Zen 4 generation: XOR and popcount, lookups in bfloat16, and sums of four in float32
POPCOUNT, LOOKUP, SUMS = 20, 7.5, 4


@dataclass(frozen=True)
class Layer:
    """Units of one shape, and how many of them a network has."""

    network: str
    batch: int
    channels: int
    side: int
    count: int

    @property
    def operations(self) -> int:
        """Multiply-accumulates of one of the three convolutions of a step."""
        return self.batch * self.side**2 * self.channels**2 * 9

    @property
    def values(self) -> int:
        """Values of a feature map of the batch."""
        return self.batch * self.side**2 * self.channels

    @property
    def forward_bytes(self) -> int:
        """Bytes read and written: input twice, sums of signs twice, output."""
        return self.values * (3 * FLOAT + 2 * WHOLE)

    @property
    def backward_bytes(self) -> int:
        """Bytes read and written: gradient and sums of signs twice, input, input's gradient."""
        return self.values * (4 * FLOAT + 2 * WHOLE)


LAYERS = [
    Layer("cifar-resnet20", 128, 16, 32, 6),
    Layer("cifar-resnet20", 128, 32, 16, 5),
    Layer("cifar-resnet20", 128, 64, 8, 5),
    Layer("digits demo", 64, 8, 16, 4),
    Layer("digits demo", 64, 32, 4, 3),
    Layer("cifar-resnet18", 32, 64, 32, 4),
    Layer("cifar-resnet18", 32, 128, 16, 3),
    Layer("cifar-resnet18", 32, 256, 8, 3),
    Layer("cifar-resnet18", 32, 512, 4, 3),
]


def fastest(work: Callable[[], object]) -> float:
    """The shortest processor time of some calls, in seconds."""
    times = []
    for _ in range(REPEATS):
        start = time.process_time()
        work()
        times.append(time.process_time() - start)
    return min(times)


def memory_speed() -> float:
    """Bytes a second that a core reads and writes when it copies maps larger than its cache."""
    source, target = torch.ones(2, 2**24)
    return 2 * FLOAT * source.numel() / fastest(lambda: target.copy_(source))


def arithmetic_speed() -> float:
    """Multiply-accumulates a second of a large product of float32 matrices."""
    a = torch.ones(1024, 1024)
    return a.numel() * 1024 / fastest(lambda: a @ a)


def step_times(layer: Layer) -> tuple[float, float]:
    """Seconds of the forward and of the backward pass of a unit."""
    channels = layer.channels
    conv, norm = BinaryConv2d(channels, channels).train(), nn.BatchNorm2d(channels)
    shape = (layer.batch, channels, layer.side, layer.side)
    x = torch.randn(shape).clamp(-1, 1).requires_grad_()
    gradient = torch.randn(shape)

    def forward() -> Tensor:
        return conv.normed(x, norm, nn.Hardtanh(), x)

    def both() -> None:
        x.grad = conv.weight.grad = None
        forward().backward(gradient)

    both()
    one = fastest(forward)
    return one, fastest(both) - one


def main() -> None:
    """Print the table."""
    keep_memory()
    torch.set_num_threads(1)
    memory, multiplied = memory_speed(), arithmetic_speed()
    ratios = (POPCOUNT, LOOKUP) if is_bfloat16() else (SUMS, SUMS)
    print(f"kernels: {description()}")
    print(f"one core: {memory / 1e9:.0f} GB/s, {multiplied / 1e9:.0f} G float32 products/s\n")
    columns = ["network", "channels", "side", "units", "products", "pass", "MB", "ms", "GB/s"]
    table = Table(box=None)
    for name in (*columns, "G products/s", "share of the limit"):
        table.add_column(name, justify="left" if name in ("network", "pass") else "right")
    for layer in LAYERS:
        for name, taken, moved, convolutions, ratio in zip(
            ("forward", "backward"),
            step_times(layer),
            (layer.forward_bytes, layer.backward_bytes),
            (1, 2),
            ratios,
            strict=True,
        ):
            products = convolutions * layer.operations
            limit = max(moved / memory, products / (ratio * multiplied))
            table.add_row(
                *(layer.network, str(layer.channels), str(layer.side), str(layer.count)),
                *(f"{products / 1e6:,.0f} M", name, f"{moved / 1e6:.0f}", f"{1e3 * taken:.2f}"),
                *(f"{moved / taken / 1e9:.0f}", f"{products / taken / 1e9:.0f}"),
                f"{limit / taken:.0%}",
            )
    Console(width=120).print(table)


if __name__ == "__main__":
    main()
