"""Each operation of the runtime against torch, on random shapes, threads and instructions."""

from __future__ import annotations

import gc
import os
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional

import ir2search as ir
from ir2search.errors import DataError
from ir2search.export import candidate_graph
from ir2search.kernels import inference
from ir2search.kernels.inference import Variant
from ir2search.runtime import Graph, Node, PackedNetwork, network

ROLES = {"hardtanh": (), "prelu": ("slope",), "rprelu": ("knee", "slope", "rise")}


@pytest.fixture(autouse=True, scope="module")
def _threads_share_every_loop() -> Iterator[None]:
    """Share work among threads even if it is short."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(network, "LEAST_SECONDS", 0.0)
        yield


@dataclass(frozen=True)
class Case:
    """A random convolution and its images."""

    size: int
    stride: int
    padding: int
    sides: tuple[int, int]
    channels: int
    outputs: int
    batch: int
    threads: int
    variant: Variant
    seed: int

    @property
    def window(self) -> dict[str, int]:
        return {"size": self.size, "stride": self.stride, "padding": self.padding}

    @property
    def image(self) -> tuple[int, int, int]:
        return (*self.sides, self.channels)

    def images(self) -> Tensor:
        torch.manual_seed(self.seed)
        return torch.randn(self.batch, self.channels, *self.sides)

    def signs(self) -> Tensor:
        return signs(torch.randn(self.outputs, self.channels, self.size, self.size))


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
        variant=draw(st.sampled_from(inference.variants())),
        seed=draw(st.integers(0, 2**16)),
    )


class Nodes:
    """A network that is built node by node, with the value that torch computes for each."""

    def __init__(self, case: Case) -> None:
        self.case, self.nodes, self.images = case, list[Node](), case.images()
        self.made = [self.images]

    def add(
        self,
        op: str,
        inputs: tuple[int, ...],
        made: Tensor,
        numbers: Mapping[str, Any] | None = None,
        **tensors: Tensor | np.ndarray,
    ) -> int:
        """Append a node; returns the number of its value."""
        own = {role: np.asarray(tensor) for role, tensor in tensors.items()}
        shape = (*made.shape[2:], made.shape[1])
        self.nodes.append(Node(op, inputs, numbers or {}, own, shape, op))
        self.made.append(made)
        return len(self.nodes)

    def binary(self, value: int, weights: Tensor, *window: int) -> int:
        """Append a convolution of the signs of a value with weights of ±1."""
        x = signs(self.made[value])
        sign = self.add("sign", (value,), x)
        numbers = dict(zip(("size", "stride", "padding"), window, strict=True))
        numbers["outputs"] = len(weights)
        made = functional.conv2d(x, weights, None, *window[1:])
        return self.add("binary_conv", (sign,), made, numbers, weight=bits(weights))

    def real(self, value: int, weights: Tensor, groups: int = 1) -> int:
        """Append a convolution of numbers."""
        x, numbers = self.made[value].double(), self.case.window
        made = functional.conv2d(
            x, weights.double(), None, self.case.stride, self.case.padding, 1, groups
        )
        numbers |= {"outputs": len(weights), "groups": groups}
        return self.add("conv", (value,), made.float(), numbers, weight=weights)

    def norm(self, value: int) -> int:
        x = self.made[value]
        scale, shift = torch.randn(2, x.shape[1])
        made = x * scale[:, None, None] + shift[:, None, None]
        return self.add("norm", (value,), made, scale=scale, shift=shift)

    def activation(self, value: int, kind: str, *, rising: bool = False) -> int:
        x = self.made[value]
        own = {role: torch.randn(x.shape[1]) for role in ROLES[kind]}
        if rising and own:
            own["slope"].abs_()
        nothing = torch.zeros(x.shape[1])
        knee, slope, rise = (own.get(role, nothing)[:, None, None] for role in ROLES["rprelu"])
        made = torch.where(x > knee, x - knee, (x - knee) * slope) + rise
        return self.add(kind, (value,), x.clamp(-1, 1) if kind == "hardtanh" else made, **own)

    def network(self) -> PackedNetwork:
        graph = Graph(self.case.image, tuple(self.nodes))
        return PackedNetwork(graph, self.case.threads, self.case.variant)

    def run(self) -> Tensor:
        """The last value on the runtime, (N, C, H, W)."""
        flat = torch.from_numpy(self.network().logits(self.images.numpy()))
        return flat.reshape(len(flat), *self.nodes[-1].shape).permute(0, 3, 1, 2)

    def check_signs_of(self, value: int) -> None:
        """Check the signs by one more convolution, at pixels where no value is close to 0."""
        x = self.made[value]
        self.binary(value, signs(torch.randn(3, x.shape[1], 1, 1)), 1, 1, 0)
        found, wanted = self.run(), self.made[-1]
        is_clear = (x.abs() > 1e-4).all(dim=1, keepdim=True).expand_as(found)
        assert torch.equal(found[is_clear], wanted[is_clear])


def signs(x: Tensor) -> Tensor:
    return torch.where(x >= 0, 1.0, -1.0)


def bits(weights: Tensor) -> np.ndarray:
    """(outputs, channels, size, size) of ±1, channels last."""
    return np.packbits((weights.permute(0, 2, 3, 1) > 0).numpy().ravel(), bitorder="little")


@given(cases())
def test_a_binary_convolution_is_exact(case: Case) -> None:
    nodes = Nodes(case)
    nodes.binary(0, case.signs(), *case.window.values())
    assert torch.equal(nodes.run(), nodes.made[-1])


@given(cases(), st.sampled_from([None, *ROLES]), st.booleans())
def test_steps_after_a_convolution_equal_torch(
    case: Case, activation: str | None, added: bool
) -> None:
    """The steps are norm, shortcut, activation and sign; a second convolution reads the signs."""
    nodes, weights = Nodes(case), case.signs()
    shortcut = nodes.real(0, weights) if added else 0
    value = nodes.norm(nodes.binary(0, weights, *case.window.values()))
    if added:
        value = nodes.add("add", (value, shortcut), nodes.made[value] + nodes.made[shortcut])
    if activation is not None:
        value = nodes.activation(value, activation)
    nodes.check_signs_of(value)


@given(cases(), st.sampled_from([None, *ROLES]), st.booleans())
def test_max_pooling_before_a_sign_equals_torch(
    case: Case, activation: str | None, rising: bool
) -> None:
    """The runtime pools signs instead of numbers, unless an activation is not monotone."""
    nodes = Nodes(case)
    value = nodes.binary(0, case.signs(), *case.window.values())
    pooled = functional.max_pool2d(nodes.made[value], 2, 2, ceil_mode=True)
    numbers = {"size": 2, "stride": 2, "padding": 0, "ceil": 1}
    value = nodes.norm(nodes.add("max_pool", (value,), pooled, numbers))
    if activation is not None:
        value = nodes.activation(value, activation, rising=rising)
    nodes.check_signs_of(value)
    [unit] = (unit for unit in nodes.network().units if unit.kind == "max_pool")
    falls = any((node.tensors.get("slope", np.zeros(1)) < 0).any() for node in nodes.nodes)
    assert (unit.signs is None) == falls


@given(cases(), st.booleans())
def test_a_full_precision_convolution_equals_torch(case: Case, grouped: bool) -> None:
    nodes, groups = Nodes(case), case.channels if grouped else 1
    inputs = case.channels // groups
    nodes.real(0, torch.randn(case.outputs * groups, inputs, case.size, case.size), groups)
    torch.testing.assert_close(nodes.run(), nodes.made[-1], rtol=1e-4, atol=1e-3)


@given(cases())
def test_pooling_over_windows_equals_torch(case: Case) -> None:
    images, padding = case.images(), min(case.padding, case.size // 2)
    if min(case.sides) + 2 * padding < case.size:
        return
    window = (case.size, case.stride, padding)
    numbers = case.window | {"padding": padding, "ceil": 0}
    for op, wanted in (
        ("max_pool", functional.max_pool2d(images, *window)),
        ("avg_pool", functional.avg_pool2d(images, *window, count_include_pad=False)),
    ):
        nodes = Nodes(case)
        nodes.add(op, (0,), wanted, numbers)
        torch.testing.assert_close(nodes.run(), wanted, rtol=1e-5, atol=1e-6)


@given(cases(), st.tuples(st.integers(1, 11), st.integers(1, 11)))
def test_adaptive_pooling_equals_torch(case: Case, sides: tuple[int, int]) -> None:
    nodes = Nodes(case)
    wanted = functional.adaptive_avg_pool2d(nodes.images, sides)
    nodes.add("adaptive_pool", (0,), wanted, {"height": sides[0], "width": sides[1]})
    torch.testing.assert_close(nodes.run(), wanted, rtol=1e-5, atol=1e-6)


@given(cases(), st.integers(0, 5), st.integers(0, 5))
def test_subsampling_concatenation_and_cut_equal_torch(case: Case, before: int, after: int) -> None:
    """A map is subsampled, padded with zero channels, joined with itself, and cut."""
    nodes, wide = Nodes(case), before + case.channels + after
    small = nodes.images[:, :, :: case.stride, :: case.stride]
    small = functional.pad(small, (0, 0, 0, 0, before, after))
    both = torch.cat([small, small], dim=1)
    numbers = {"stride": case.stride, "before": before, "outputs": wide}
    value = nodes.add("subsample", (0,), small, numbers)
    value = nodes.add("concat", (value, value), both)
    nodes.add("cut", (value,), both[:, : wide + 1], {"outputs": wide + 1})
    assert torch.equal(nodes.run(), nodes.made[-1])


def test_images_are_read_channel_by_channel() -> None:
    images = np.arange(2 * 3 * 4 * 5, dtype=np.float32).reshape(2, 3, 4, 5)
    node = Node("flatten", (0,), {}, {}, (60,), "flatten")
    found = PackedNetwork(Graph((4, 5, 3), (node,))).logits(images)
    np.testing.assert_array_equal(found, images.reshape(2, -1))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_nan_and_infinity_are_found_anywhere(value: float) -> None:
    images = np.zeros((1, 2, 3, 3), np.float32)
    images[0, 1, 2, 2] = value
    node = Node("flatten", (0,), {}, {}, (18,), "flatten")
    with pytest.raises(DataError, match="must be finite"):
        PackedNetwork(Graph((3, 3, 2), (node,))).logits(images)


def large() -> tuple[Graph, np.ndarray]:
    graph = candidate_graph(ir.Candidate(depth=8, image=(3, 16, 16)))
    return graph, np.random.default_rng(0).standard_normal((9, 3, 16, 16), dtype=np.float32)


def test_no_sum_depends_on_threads_or_the_batch() -> None:
    graph, images = large()
    for variant in inference.variants():
        wanted = PackedNetwork(graph, 1, variant).logits(images)
        for threads in (2, 3):
            shared = PackedNetwork(graph, threads, variant)
            for _ in range(3):
                np.testing.assert_array_equal(shared.logits(images), wanted)
            np.testing.assert_array_equal(shared.logits(images[4:5]), wanted[4:5])


def test_a_process_that_was_forked_starts_threads_of_its_own() -> None:
    graph, images = large()
    shared = PackedNetwork(graph, 2)
    wanted = shared.logits(images)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about the threads, which this test is about
        child = os.fork()
    if not child:
        os._exit(0 if np.array_equal(shared.logits(images), wanted) else 1)
    assert os.waitpid(child, 0)[1] == 0


def threads_of_this_process() -> int:
    return len(list(Path("/proc/self/task").iterdir()))


def test_threads_end_with_their_network() -> None:
    graph, images = large()
    before = threads_of_this_process()
    shared = PackedNetwork(graph, 4)
    assert threads_of_this_process() == before, "no thread starts before it is needed"
    shared.logits(images)
    assert threads_of_this_process() == before + 3
    del shared
    gc.collect()
    assert threads_of_this_process() == before


def test_short_work_is_not_shared() -> None:
    node = Node("flatten", (0,), {}, {}, (18,), "flatten")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(network, "LEAST_SECONDS", -1.0)
        before = threads_of_this_process()
        PackedNetwork(Graph((3, 3, 2), (node,)), 3).logits(np.zeros((1, 2, 3, 3), np.float32))
        assert threads_of_this_process() == before
