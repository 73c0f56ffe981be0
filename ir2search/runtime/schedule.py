"""Group the operations of a graph into units that run in one pass over the feature maps.

A convolution, its norm, shortcut, activation and sign form one unit.
"""

from __future__ import annotations

from dataclasses import dataclass

from ir2search.runtime.graph import Graph, Node

ACTIVATIONS = ("hardtanh", "prelu", "rprelu")
NORM, ADD, ACTIVATION = 1, 2, 3  # stages after a convolution, in order

_MONOTONE = ("max_pool", "norm", *ACTIVATIONS, "sign")
_POOLED = {
    ("binary_conv", "max_pool", "norm", *activation, "sign")
    for activation in ((), *((each,) for each in ACTIVATIONS))
}


@dataclass(frozen=True)
class Unit:
    """Operations that run in one pass over the feature maps.

    Attributes:
        head: the first node; None if the unit only applies the steps after a convolution.
        source: the value that it reads.
        norm: its norm.
        shortcut: the value that is added.
        activation: its activation.
        real: the value that it makes as numbers, if any unit reads them.
        signs: the value that it makes as signs, if any unit reads them.
        sign: the node of the signs.
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
    def makes(self) -> int:
        """The value that it makes as numbers, or else as signs."""
        found = self.real if self.real is not None else self.signs
        assert found is not None
        return found

    @property
    def name(self) -> str:
        """Name of its first layer."""
        node = self.head or self.norm or self.activation or self.sign
        return node.name if node is not None else "sum"

    @property
    def kind(self) -> str:
        """The operation of the head, or ``"pointwise"``."""
        return self.head.op if self.head is not None else "pointwise"


def make_schedule(graph: Graph) -> tuple[Unit, ...]:
    """Put each node of a graph into one unit; the units are in an order that can be run."""
    done: set[int] = set()
    units = []
    for index in range(len(graph.nodes)):
        if index not in done:
            found, nodes = _pooled_signs(graph, index) or _unit(graph, index)
            units += found
            done |= nodes
    return tuple(units)


def _pooled_signs(graph: Graph, index: int) -> tuple[list[Unit], set[int]] | None:
    """Pool signs instead of numbers: a binary convolution, max-pooling, and steps up to a sign.

    None if the node does not start such a sequence, or if its numbers are read too. Pooling signs
    is exact if all steps between the pooling and the sign are monotone. Where they increase, the
    result is +1 if any sign of the window is +1; where they decrease, if all signs are +1.
    """
    if graph.nodes[index].op != "binary_conv":
        return None
    chain, follower = [index], _only_consumer(graph, index + 1)
    while follower is not None and graph.nodes[follower].op in _MONOTONE:
        chain.append(follower)
        follower = _only_consumer(graph, follower + 1)
    nodes = [graph.nodes[each] for each in chain]
    ops = tuple(node.op for node in nodes)
    if ops not in _POOLED or not _is_read_as_bits(graph, chain[-1]):
        return None
    conv, pool, norm, *activation, sign = nodes
    if any((node.tensors["slope"] < 0).any() for node in activation if "slope" in node.tensors):
        return None
    convolved, pooled = index + 1, chain[-1] + 1
    first = Unit(
        conv,
        conv.inputs[0],
        norm=norm,
        activation=activation[0] if activation else None,
        signs=convolved,
        sign=sign,
    )
    return [first, Unit(pool, convolved, norm=norm, signs=pooled)], set(chain)


def _unit(graph: Graph, index: int) -> tuple[list[Unit], set[int]]:
    """The unit that starts with a node, and the nodes in it."""
    node = graph.nodes[index]
    if node.op == "sign":
        if _is_read_as_bits(graph, index):
            return [Unit(None, node.inputs[0], sign=node, signs=index + 1)], {index}
        return [Unit(None, node.inputs[0], sign=node, real=index + 1)], {index}
    is_head = node.op in ("conv", "binary_conv")
    if not is_head and not _stage(node.op):
        return [Unit(node, node.inputs[0], real=index + 1)], {index}
    parts, shortcut, value = _steps(graph, index, is_head)
    nodes = {*parts.values(), *([index] if is_head else [])}
    readers = graph.consumers[value]
    signs = [each for each in readers if graph.nodes[each].op == "sign"]
    sign = next((each for each in signs if _is_read_as_bits(graph, each)), None)
    others = [each for each in readers if each != sign]
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
    return [unit], nodes if sign is None else nodes | {sign}


def _steps(graph: Graph, index: int, is_head: bool) -> tuple[dict[int, int], int | None, int]:
    """The steps of a unit: nodes by stage, the value of the shortcut, and the value they make."""
    value = index + 1 if is_head else graph.nodes[index].inputs[0]
    following: int | None = _only_consumer(graph, value) if is_head else index
    parts: dict[int, int] = {}
    shortcut = None
    while following is not None:
        node = graph.nodes[following]
        stage = _stage(node.op)
        if stage <= max(parts, default=0):
            break
        if stage == ADD:
            other = node.inputs[0] if node.inputs[1] == value else node.inputs[1]
            if other > index:  # this value is made later
                break
            shortcut = other
        parts[stage], value = following, following + 1
        following = _only_consumer(graph, value)
    return parts, shortcut, value


def _stage(op: str) -> int:
    """The stage of an operation after a convolution; 0 for other operations."""
    return ACTIVATION if op in ACTIVATIONS else {"norm": NORM, "add": ADD}.get(op, 0)


def _only_consumer(graph: Graph, value: int) -> int | None:
    """The node that reads a value; None if several nodes read it, or none."""
    consumers = graph.consumers[value]
    return consumers[0] if len(consumers) == 1 else None


def _is_read_as_bits(graph: Graph, sign: int) -> bool:
    """Whether only binary convolutions read these signs."""
    return all(graph.nodes[each].op == "binary_conv" for each in graph.consumers[sign + 1])
