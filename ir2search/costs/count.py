"""Count a candidate's operations by tracing its network once with fvcore."""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

import torch
from fvcore.nn import FlopCountAnalysis
from torch import Tensor, nn

from ir2search import text
from ir2search.costs.handles import HANDLES, KINDS, MULTIPLY_ACCUMULATE
from ir2search.errors import CountError, first_line, is_out_of_memory
from ir2search.models.build import BUILDERS, Builder
from ir2search.nn import BinaryConv2d
from ir2search.notebook import html_table
from ir2search.space import Candidate, build

if TYPE_CHECKING:
    import pandas as pd

    from ir2search.models.network import TappedNetwork

BOPS_PER_OP = 64  # a 64-bit word holds the operands of 64 1-bit multiply-accumulates
TOTALS = (
    "flops", "bops", "ops", "parameters", "binary_parameters", "memory_bytes", "others",
)  # fmt: skip


@dataclass(frozen=True)
class LayerCost:
    """The cost of one module at batch 1.

    Attributes:
        name: name of the module in the network.
        type: name of its class.
        flops: full-precision multiply-accumulates of convolutions and linear layers.
        bops: 1-bit multiply-accumulates.
        parameters: number of parameters.
        binary_parameters: number of parameters that take 1 bit.
        memory_bytes: size of its parameters and buffers: 1 bit for a binary parameter, else 32.
        others: element operations that count as neither FLOPs nor BOPs, by kind.
    """

    name: str
    type: str
    flops: int
    bops: int
    parameters: int
    binary_parameters: int
    memory_bytes: float
    others: dict[str, int]


@dataclass(frozen=True, repr=False)
class Cost:
    """The cost of a network at batch 1, in total and by layer."""

    rows: tuple[LayerCost, ...]

    def __repr__(self) -> str:
        names = ("ops", "flops", "bops", "parameters", "memory_bytes")
        values = ", ".join(f"{name}={getattr(self, name):,.0f}" for name in names)
        return f"Cost({values}, layers={len(self.rows)})"

    def _repr_html_(self) -> str:
        rows = [row for row in self.rows if row.flops or row.bops or row.parameters]
        shown = [
            (row.name, row.type, *_texts(row.flops, row.bops, row.parameters, row.memory_bytes))
            for row in rows
        ]
        total = _texts(self.flops, self.bops, self.parameters, self.memory_bytes)
        heads = ("layer", "type", "FLOPs", "BOPs", "parameters", "memory")
        return html_table(f"{text.count(self.ops)} OPs", heads, [("total", "", *total), *shown])

    @functools.cached_property
    def flops(self) -> int:
        """Full-precision multiply-accumulates of convolutions and linear layers."""
        return sum(row.flops for row in self.rows)

    @functools.cached_property
    def bops(self) -> int:
        """1-bit multiply-accumulates (XNOR and popcount)."""
        return sum(row.bops for row in self.rows)

    @property
    def ops(self) -> float:
        """FLOPs + BOPs / 64, as in Liu et al., "Bi-Real Net", ECCV 2018, section 4.3."""
        return self.flops + self.bops / BOPS_PER_OP

    @functools.cached_property
    def parameters(self) -> int:
        """Number of parameters."""
        return sum(row.parameters for row in self.rows)

    @functools.cached_property
    def binary_parameters(self) -> int:
        """Number of parameters that take 1 bit."""
        return sum(row.binary_parameters for row in self.rows)

    @functools.cached_property
    def memory_bytes(self) -> float:
        """Bytes of all parameters and buffers: 1 bit for a binary parameter, else 32 bits."""
        return sum(row.memory_bytes for row in self.rows)

    @functools.cached_property
    def packed_bytes(self) -> float:
        """Bytes of a packed file without its header; a BatchNorm becomes a scale and a shift."""
        return sum(
            4 * row.parameters if row.type.startswith("BatchNorm") else row.memory_bytes
            for row in self.rows
        )

    @functools.cached_property
    def others(self) -> dict[str, int]:
        """Element operations that count as neither FLOPs nor BOPs, by kind."""
        total: Counter[str] = Counter()
        for row in self.rows:
            total.update(row.others)
        return dict(total)

    @property
    def layers(self) -> pd.DataFrame:
        """One row for each layer: the columns of `LayerCost`, and one for each kind of others."""
        import pandas as pd

        none = dict.fromkeys(sorted(self.others), 0)
        rows = [asdict(row) | none | row.others for row in self.rows]
        return pd.DataFrame(rows).drop(columns="others")

    def totals(self) -> dict[str, Any]:
        """The totals by name, in values that JSON can hold."""
        return {name: getattr(self, name) for name in TOTALS}

    def as_dict(self) -> dict[str, Any]:
        """The totals, ``packed_bytes`` and ``layers``, in values that JSON can hold."""
        more = {"packed_bytes": self.packed_bytes, "layers": [asdict(row) for row in self.rows]}
        return self.totals() | more


def _texts(flops: int, bops: int, parameters: int, memory_bytes: float) -> tuple[str, ...]:
    return f"{flops:,}", f"{bops:,}", f"{parameters:,}", text.size(memory_bytes)


def cost(candidate: Candidate) -> Cost:
    """Count the candidate's cost at batch 1, without training it.

    Results are cached. Backbone and recovery are traced separately, so another candidate with the
    same backbone takes only milliseconds. Restriction costs nothing at inference.

    Raises:
        CountError: the network runs an operation that cannot be counted; the message names it.
        MemoryError: the network does not fit in memory.
    """
    with _named_failures(candidate.backbone):
        network = replace(candidate.without_recipe(), threshold=0.0)
        return _cost(network, BUILDERS[candidate.backbone])


@contextmanager
def _named_failures(backbone: str) -> Iterator[None]:
    """Turn errors of torch into a MemoryError, or a CountError that names the backbone."""
    try:
        yield
    except (RuntimeError, TypeError) as error:
        reason = first_line(error)
        if is_out_of_memory(error):
            raise MemoryError(reason) from None
        if isinstance(error, TypeError):
            raise
        raise CountError(f"backbone {backbone!r}: its cost cannot be counted: {reason}") from error


# the builder is part of the key: a user's backbone may be registered again with other code
@functools.lru_cache(maxsize=4096)
def _cost(candidate: Candidate, builder: Builder) -> Cost:
    backbone = _backbone_rows(candidate.backbone_only(), builder)
    if not candidate.taps:
        return Cost(backbone)
    head = next(i for i, row in enumerate(backbone) if row.name.startswith("head"))
    return Cost((*backbone[:head], *_recovery_rows(candidate, builder), *backbone[head:]))


@functools.lru_cache(maxsize=256)
def _backbone_rows(candidate: Candidate, builder: Builder) -> tuple[LayerCost, ...]:
    network = _uninitialised(candidate)
    return tuple(_rows(network, (torch.zeros(1, *candidate.image),)))


def _recovery_rows(candidate: Candidate, builder: Builder) -> list[LayerCost]:
    recovery = _uninitialised(candidate).get_submodule("recovery")
    shapes = _feature_shapes(candidate.backbone_only(), builder)
    taps = [torch.zeros(shapes[name]) for name in candidate.taps]
    return _rows(recovery, (torch.zeros(shapes["last"]), *taps), "recovery")


@functools.lru_cache(maxsize=256)
def _feature_shapes(candidate: Candidate, builder: Builder) -> dict[str, tuple[int, ...]]:
    """Shapes of the maps that recovery takes, at batch 1."""
    with torch.no_grad():
        taps, last = _uninitialised(candidate).feature_maps(torch.zeros(1, *candidate.image))
    return {name: tuple(maps.shape) for name, maps in (taps | {"last": last}).items()}


def _uninitialised(candidate: Candidate) -> TappedNetwork:
    """The network with uninitialised weights: counting does not need their values."""
    with torch.device("meta"):
        network = build(candidate)
    return network.apply(_allocate).eval()


def _allocate(module: nn.Module) -> None:
    """Give a module of the meta device memory, as ``to_empty`` does, but import no sympy."""
    for name, parameter in module.named_parameters(recurse=False):
        setattr(module, name, nn.Parameter(torch.empty(parameter.shape, dtype=parameter.dtype)))
    for name, buffer in module.named_buffers(recurse=False):
        setattr(module, name, torch.empty(buffer.shape, dtype=buffer.dtype))


def _rows(network: nn.Module, inputs: tuple[Tensor, ...], prefix: str = "") -> list[LayerCost]:
    """Rows of the modules that have their own operations or parameters, in order."""
    analysis = FlopCountAnalysis(network, inputs).set_op_handle(**HANDLES)
    analysis.unsupported_ops_warnings(False).uncalled_modules_warnings(False)
    by_module = analysis.by_module_and_operator()
    if unknown := {*analysis.unsupported_ops(), *by_module[""]} - KINDS.keys():
        raise RuntimeError(f"no counter for {', '.join(sorted(unknown))}")
    rows = []
    for name, module in network.named_modules():
        operations = Counter(by_module[name])
        for child, _ in module.named_children():
            operations.subtract(by_module[f"{name}.{child}" if name else child])
        row = _row(".".join(filter(None, (prefix, name))), module, +operations)
        if row.parameters or row.others or row.flops or row.bops:
            rows.append(row)
    return rows


def _row(name: str, module: nn.Module, operations: Counter[str]) -> LayerCost:
    others: Counter[str] = Counter()
    for operation, count in operations.items():
        others[KINDS[operation]] += count
    macs = sum(others.pop(kind, 0) for kind in MULTIPLY_ACCUMULATE)
    planes = binary = 0
    if isinstance(module, BinaryConv2d) and module.binarisation.weights == "binary":
        planes, binary = module.bit_planes, module.weight.numel()
    parameters = sum(each.numel() for each in module.parameters(recurse=False))
    buffers = sum(each.numel() for each in module.buffers(recurse=False))
    return LayerCost(
        name=name,
        type=type(module).__name__,
        flops=0 if planes else macs,
        bops=planes * macs,
        parameters=parameters,
        binary_parameters=binary,
        memory_bytes=binary / 8 + 4 * (parameters - binary + buffers),
        others=dict(others),
    )
