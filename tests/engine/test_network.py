"""Each loop of the engine against torch, on shapes of all kinds and any number of threads."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional

from ir2search.engine import Graph, Node, PackedNetwork, crew

Shape = tuple[int, ...]


@pytest.fixture(autouse=True, scope="module")
def _shared_at_any_size() -> Iterator[None]:
    """Threads share even what is not worth it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(crew, "LEAST", 0.0)
        yield


@dataclass(frozen=True)
class Case:
    """A convolution of images."""

    size: int
    stride: int
    padding: int
    sides: tuple[int, int]
    channels: int
    outputs: int
    batch: int
    threads: int
    seed: int

    @property
    def window(self) -> dict[str, int]:
        return {"size": self.size, "stride": self.stride, "padding": self.padding}

    @property
    def image(self) -> Shape:
        return (*self.sides, self.channels)

    @property
    def shape(self) -> Shape:
        room = (side + 2 * self.padding - self.size for side in self.sides)
        return (*(each // self.stride + 1 for each in room), self.outputs)

    def images(self) -> Tensor:
        torch.manual_seed(self.seed)
        return torch.randn(self.batch, self.channels, *self.sides)

    def convolve(self, x: Tensor, weights: Tensor, groups: int = 1) -> Tensor:
        return functional.conv2d(x, weights, None, self.stride, self.padding, 1, groups)


@st.composite
def cases(draw: st.DrawFn) -> Case:
    size = draw(st.integers(1, 5))
    padding = draw(st.integers(0, size - 1))
    height, width = (draw(st.integers(max(1, size - 2 * padding), 11)) for _ in range(2))
    return Case(
        size=size,
        stride=draw(st.integers(1, 3)),
        padding=padding,
        sides=(height, width),
        channels=draw(st.one_of(st.integers(1, 70), st.sampled_from([96, 128, 130, 192]))),
        outputs=draw(st.one_of(st.integers(1, 40), st.sampled_from([48, 64, 65, 100]))),
        batch=draw(st.integers(1, 3)),
        threads=draw(st.integers(1, 3)),
        seed=draw(st.integers(0, 2**16)),
    )


class Nodes:
    """A network that grows."""

    def __init__(self, case: Case) -> None:
        self.case, self.nodes = case, list[Node]()

    def add(
        self,
        op: str,
        inputs: tuple[int, ...],
        shape: Shape,
        numbers: Mapping[str, Any] | None = None,
        **tensors: Tensor | np.ndarray,
    ) -> int:
        """A node's value."""
        own = {role: np.asarray(tensor) for role, tensor in tensors.items()}
        self.nodes.append(Node(op, inputs, numbers or {}, own, shape, op))
        return len(self.nodes)

    def convolution(self, weights: Tensor) -> int:
        """Of the images' signs with binary weights."""
        numbers = self.case.window | {"outputs": len(weights)}
        sign = self.add("sign", (0,), self.case.image)
        return self.add("binary_conv", (sign,), self.case.shape, numbers, weight=bits(weights))

    def run(self, images: Tensor) -> Tensor:
        """What the last node makes, (N, C, H, W)."""
        network = PackedNetwork(Graph(self.case.image, tuple(self.nodes)), self.case.threads)
        flat = torch.from_numpy(network.logits(images.numpy()))
        return flat.reshape(len(images), *self.nodes[-1].shape).permute(0, 3, 1, 2)


def signs(x: Tensor) -> Tensor:
    return torch.where(x >= 0, 1.0, -1.0)


def bits(weights: Tensor) -> np.ndarray:
    """(outputs, channels, size, size) of ±1, channels last."""
    return np.packbits((weights.permute(0, 2, 3, 1) > 0).numpy().ravel(), bitorder="little")


@settings(deadline=None)
@given(cases())
def test_a_binary_convolution_counts_exactly(case: Case) -> None:
    images = case.images()
    weights = signs(torch.randn(case.outputs, case.channels, case.size, case.size))
    nodes = Nodes(case)
    nodes.convolution(weights)
    assert torch.equal(nodes.run(images), case.convolve(signs(images), weights))


ROLES = {"hardtanh": (), "prelu": ("slope",), "rprelu": ("knee", "slope", "rise")}


@settings(deadline=None)
@given(cases(), st.sampled_from([None, *ROLES]), st.booleans())
def test_all_that_follows_a_convolution(case: Case, activation: str | None, added: bool) -> None:
    """Norm, shortcut, activation, and signs, which a second convolution takes."""
    images, shape = case.images(), case.shape
    weights = signs(torch.randn(case.outputs, case.channels, case.size, case.size))
    nodes, x = Nodes(case), case.convolve(signs(images), weights)
    if added:
        numbers = case.window | {"outputs": case.outputs, "groups": 1}
        shortcut = nodes.add("conv", (0,), shape, numbers, weight=weights)
    value = nodes.convolution(weights)
    norm = {role: torch.randn(case.outputs) for role in ("weight", "bias", "mean")}
    norm["variance"] = torch.rand(case.outputs) + 0.5
    value = nodes.add("norm", (value,), shape, {"eps": 1e-5}, **norm)
    x = functional.batch_norm(
        x, norm["mean"], norm["variance"], norm["weight"], norm["bias"], eps=1e-5
    )
    if added:
        value = nodes.add("add", (value, shortcut), shape)
        x = x + case.convolve(images, weights)
    if activation is not None:
        own = {role: torch.randn(case.outputs) for role in ROLES[activation]}
        value = nodes.add(activation, (value,), shape, **own)
        x = activated(x, activation, own)
    second = signs(torch.randn(3, case.outputs, 1, 1))
    value = nodes.add("sign", (value,), shape)
    numbers = {"size": 1, "stride": 1, "padding": 0, "outputs": 3}
    nodes.add("binary_conv", (value,), (*shape[:2], 3), numbers, weight=bits(second))
    found = nodes.run(images)
    is_clear = (x.abs() > 1e-4).all(dim=1, keepdim=True).expand_as(found)  # rounding turns no sign
    assert torch.equal(found[is_clear], functional.conv2d(signs(x), second)[is_clear])


def activated(x: Tensor, kind: str, own: Mapping[str, Tensor]) -> Tensor:
    if kind == "hardtanh":
        return x.clamp(-1, 1)
    nothing = torch.zeros(x.shape[1])
    knee, slope, rise = (own.get(role, nothing)[:, None, None] for role in ROLES["rprelu"])
    return torch.where(x > knee, x - knee, (x - knee) * slope) + rise


@settings(deadline=None)
@given(cases(), st.booleans())
def test_a_convolution_of_numbers(case: Case, grouped: bool) -> None:
    images, groups = case.images(), case.channels if grouped else 1
    outputs = case.outputs * groups
    weights = torch.randn(outputs, case.channels // groups, case.size, case.size)
    numbers = case.window | {"outputs": outputs, "groups": groups}
    nodes = Nodes(case)
    nodes.add("conv", (0,), (*case.shape[:2], outputs), numbers, weight=weights)
    exact = case.convolve(images.double(), weights.double(), groups).float()
    torch.testing.assert_close(nodes.run(images), exact, rtol=1e-4, atol=1e-3)


@settings(deadline=None)
@given(cases())
def test_pooling_over_windows(case: Case) -> None:
    images, padding = case.images(), min(case.padding, case.size // 2)
    if min(case.sides) + 2 * padding < case.size:
        return
    window = (case.size, case.stride, padding)
    numbers = dict(zip(("size", "stride", "padding"), window, strict=True)) | {"ceil": 0}
    for op, wanted in (
        ("max_pool", functional.max_pool2d(images, *window)),
        ("avg_pool", functional.avg_pool2d(images, *window, count_include_pad=False)),
    ):
        nodes = Nodes(case)
        nodes.add(op, (0,), (*wanted.shape[2:], case.channels), numbers)
        torch.testing.assert_close(nodes.run(images), wanted, rtol=1e-5, atol=1e-6)


@settings(deadline=None)
@given(cases(), st.tuples(st.integers(1, 11), st.integers(1, 11)))
def test_pooling_to_a_size(case: Case, sides: tuple[int, int]) -> None:
    images, nodes = case.images(), Nodes(case)
    numbers = {"height": sides[0], "width": sides[1]}
    nodes.add("adaptive_pool", (0,), (*sides, case.channels), numbers)
    wanted = functional.adaptive_avg_pool2d(images, sides)
    torch.testing.assert_close(nodes.run(images), wanted, rtol=1e-5, atol=1e-6)


@settings(deadline=None)
@given(cases(), st.integers(0, 5), st.integers(0, 5))
def test_maps_side_by_side(case: Case, before: int, after: int) -> None:
    """A subsampled map among zeros, beside itself, cut."""
    images, nodes, wide = case.images(), Nodes(case), before + case.channels + after
    wanted = functional.pad(
        images[:, :, :: case.stride, :: case.stride], (0, 0, 0, 0, before, after)
    )
    wanted = torch.cat([wanted, wanted], dim=1)[:, : wide + 1]
    numbers, sides = {"stride": case.stride, "before": before, "outputs": wide}, wanted.shape[2:]
    small = nodes.add("subsample", (0,), (*sides, wide), numbers)
    both = nodes.add("concat", (small, small), (*sides, 2 * wide))
    nodes.add("cut", (both,), (*sides, wide + 1), {"outputs": wide + 1})
    assert torch.equal(nodes.run(images), wanted)
