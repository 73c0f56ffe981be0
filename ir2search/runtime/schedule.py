"""Which operations run in one sweep: what follows a convolution is done with its sums at hand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ir2search.runtime.graph import Graph, Node

ACTIVATIONS = ("hardtanh", "prelu", "rprelu")
NORM, SUM, ACTIVATION = 1, 2, 3  # stages of a sweep, in order

_MONOTONE = ("max_pool", "norm", *ACTIVATIONS, "sign")
_POOLED = {
    ("binary_conv", "max_pool", "norm", *activation, "sign")
    for activation in ((), *((each,) for each in ACTIVATIONS))
}


@dataclass(frozen=True)
class Unit:
    """One sweep.

    Attributes:
        head: the node that begins it; None where it only finishes a value.
        source: the value that it takes.
        norm: the norm in it.
        shortcut: the value that is added.
        activation: the activation in it.
        real: the value that it makes as numbers, where somebody takes it so.
        signs: the value that it makes as signs, where somebody takes those.
        sign: the node of those signs.
    """

    head: Node | None
    source: int
    norm: Node | None = None
    shortcut: int | None = None
    activation: Node | None = None
    real: int | None = None
    signs: int | None = None
    sign: Node | None = None

    @property
    def reads(self) -> tuple[int, ...]:
        """Values that it takes."""
        taken = self.head.inputs if self.head is not None else (self.source,)
        return taken if self.shortcut is None else (*taken, self.shortcut)

    @property
    def makes(self) -> int:
        """The value that it makes, or the signs of it."""
        found = self.real if self.real is not None else self.signs
        assert found is not None
        return found

    @property
    def name(self) -> str:
        """Of the layer that it stands for."""
        node = self.head or self.norm or self.activation or self.sign
        return node.name if node is not None else "sum"

    @property
    def kind(self) -> str:
        """The operation that begins it."""
        return self.head.op if self.head is not None else "pointwise"


def make_schedule(graph: Graph) -> tuple[Unit, ...]:
    """Units in an order in which they can run; each node is in one of them."""
    consumers = graph.consumers()
    done: set[int] = set()
    units = []
    for index in range(len(graph.nodes)):
        if index not in done:
            found, taken = _pooled_signs(graph, index, consumers) or _unit(graph, index, consumers)
            units += found
            done |= taken
    return tuple(units)


def _pooled_signs(
    graph: Graph, index: int, consumers: Sequence[Sequence[int]]
) -> tuple[list[Unit], set[int]] | None:
    """A binary convolution whose pooled map nobody takes but as signs: these are pooled instead.

    What lies between the pooling and the sign goes up, or down, with its input, so that the sign of
    the largest is +1 where that of any is, or where that of all is.
    """
    taken, follower = [index], _only(consumers[index + 1])
    while follower is not None and graph.nodes[follower].op in _MONOTONE:
        taken.append(follower)
        follower = _only(consumers[follower + 1])
    nodes = [graph.nodes[each] for each in taken]
    ops = tuple(node.op for node in nodes)
    if ops not in _POOLED or not _is_packed(graph, taken[-1], consumers):
        return None
    conv, pool, norm, *activation, sign = nodes
    if any((node.tensors["slope"] < 0).any() for node in activation if "slope" in node.tensors):
        return None
    convolved, pooled = index + 1, taken[-1] + 1
    first = Unit(
        conv,
        conv.inputs[0],
        norm=norm,
        activation=activation[0] if activation else None,
        signs=convolved,
        sign=sign,
    )
    return [first, Unit(pool, convolved, norm=norm, signs=pooled)], set(taken)


def _unit(
    graph: Graph, index: int, consumers: Sequence[Sequence[int]]
) -> tuple[list[Unit], set[int]]:
    """The unit that begins with a node, and the nodes that are in it."""
    node = graph.nodes[index]
    if node.op == "sign":
        if _is_packed(graph, index, consumers):
            return [Unit(None, node.inputs[0], sign=node, signs=index + 1)], {index}
        return [Unit(None, node.inputs[0], sign=node, real=index + 1)], {index}
    is_head = node.op in ("conv", "binary_conv")
    if not is_head and not _stage(node.op):
        return [Unit(node, node.inputs[0], real=index + 1)], {index}
    parts, shortcut, value = _chain(graph, index, is_head, consumers)
    taken = {*parts.values(), *([index] if is_head else [])}
    sign = next(
        (
            taker
            for taker in consumers[value]
            if graph.nodes[taker].op == "sign" and _is_packed(graph, taker, consumers)
        ),
        None,
    )
    others = [taker for taker in consumers[value] if taker != sign]
    unit = Unit(
        node if is_head else None,
        node.inputs[0],
        norm=graph.nodes[parts[NORM]] if NORM in parts else None,
        shortcut=shortcut,
        activation=graph.nodes[parts[ACTIVATION]] if ACTIVATION in parts else None,
        real=value if others or sign is None else None,
        signs=None if sign is None else sign + 1,
        sign=None if sign is None else graph.nodes[sign],
    )
    return [unit], taken if sign is None else taken | {sign}


def _chain(
    graph: Graph, index: int, is_head: bool, consumers: Sequence[Sequence[int]]
) -> tuple[dict[int, int], int | None, int]:
    """The nodes by stage that finish a value alone, what is added, and the value they make."""
    value = index + 1 if is_head else graph.nodes[index].inputs[0]
    following: int | None = _only(consumers[value]) if is_head else index
    parts: dict[int, int] = {}
    shortcut = None
    while following is not None:
        node = graph.nodes[following]
        stage = _stage(node.op)
        if stage <= max(parts, default=0):
            break
        if stage == SUM:
            other = node.inputs[0] if node.inputs[1] == value else node.inputs[1]
            if other > index:  # not made yet
                break
            shortcut = other
        parts[stage], value = following, following + 1
        following = _only(consumers[value])
    return parts, shortcut, value


def _stage(op: str) -> int:
    """Place in a sweep; 0 where it has none."""
    return ACTIVATION if op in ACTIVATIONS else {"norm": NORM, "add": SUM}.get(op, 0)


def _only(consumers: Sequence[int]) -> int | None:
    return consumers[0] if len(consumers) == 1 else None


def _is_packed(graph: Graph, sign: int, consumers: Sequence[Sequence[int]]) -> bool:
    """Whether all who take these signs take them as bits."""
    return all(graph.nodes[each].op == "binary_conv" for each in consumers[sign + 1])
