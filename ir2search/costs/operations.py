"""Count the operations of each module of a network while it runs once.

A multiply-accumulate is one operation. `COUNTERS` has the operations that count, by the name of the
function of torch or of `ir2search.nn` that does them. Functions in `FREE` only move data, or cost
very little. The counter notes the names of all other functions.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, Self

from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils.hooks import RemovableHandle

MULTIPLY_ACCUMULATE = ("conv", "linear")  # kinds that are FLOPs or BOPs

Count = Callable[[tuple[Any, ...], Tensor], int]  # from the arguments and the result


def _of_input(arguments: tuple[Any, ...], result: Tensor) -> int:
    """One for each element of the input."""
    return int(arguments[0].numel())


def _of_output(arguments: tuple[Any, ...], result: Tensor) -> int:
    """One for each element of the result."""
    return result.numel()


def _of_weights(arguments: tuple[Any, ...], result: Tensor) -> int:
    """For each element of the result, as many as the weights of one output."""
    return result.numel() * math.prod(arguments[1].shape[1:])


def _of_norm(arguments: tuple[Any, ...], result: Tensor) -> int:
    """A multiplication and an addition for each element of the input."""
    return 2 * _of_input(arguments, result)


# the kind of each operation in a cost, and how it is counted
COUNTERS: dict[str, tuple[str, Count]] = {
    "conv2d": ("conv", _of_weights),
    "linear": ("linear", _of_weights),
    "batch_norm": ("batch_norm", _of_norm),
    "adaptive_avg_pool2d": ("pooling", _of_input),
    "avg_pool2d": ("pooling", _of_output),
    "max_pool2d": ("pooling", _of_output),
    "hardtanh": ("activation", _of_output),
    "prelu": ("activation", _of_output),
    "add": ("add", _of_output),
    "sub": ("add", _of_output),
    "polynomial_sign": ("sign", _of_output),
    "straight_through_sign": ("sign", _of_output),
    "tanh_sign": ("sign", _of_output),
    "eight_bits": ("rounding", _of_output),
}
FREE = {
    "__get__", "__getitem__", "__len__", "arange", "cat", "channel_shuffle", "chunk", "clamp",
    "clamp_", "concat", "contiguous", "copy_", "detach", "dim", "dropout", "empty", "eq", "expand",
    "expand_as", "flatten", "floor", "floor_divide", "full", "full_like", "gather", "ge", "gt",
    "masked_fill", "max", "narrow", "new_empty", "new_full", "new_zeros", "nonzero", "numel",
    "ones", "pad", "permute", "relu", "relu_", "remainder", "reshape", "roll", "select", "size",
    "split", "squeeze", "stack", "subsampled", "t", "to", "transpose", "type_as", "unbind",
    "unflatten", "unsqueeze", "unsqueeze_", "view", "zeros", "zeros_like",
}  # fmt: skip


class OperationCounter(TorchFunctionMode):
    """Counts operations inside a ``with`` statement, in which the network runs.

    What depends only on parameters and buffers is computed once, before inference, and costs
    nothing: the signs of weights are an example.

    Args:
        network: the network.

    Attributes:
        counts: number of operations by kind, by the name of the module that does them itself.
        unknown: names of functions that have no counter.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.counts: dict[str, Counter[str]] = defaultdict(Counter)
        self.unknown: set[str] = set()
        self._network = network
        self._running = [""]  # names of the modules that run, the innermost last
        constants = [*network.parameters(), *network.buffers()]
        self._constants = {id(tensor): tensor for tensor in constants}
        self._hooks: list[RemovableHandle] = []

    def __enter__(self) -> Self:
        for name, module in self._network.named_modules():
            begin = module.register_forward_pre_hook(partial(self._begin, name))
            self._hooks += [begin, module.register_forward_hook(self._end)]
        super().__enter__()  # type: ignore[no-untyped-call]
        return self

    def __exit__(self, *error: Any) -> None:
        super().__exit__(*error)  # type: ignore[no-untyped-call]
        for hook in self._hooks:
            hook.remove()

    def _begin(self, name: str, *_: object) -> None:
        self._running.append(name)

    def _end(self, *_: object) -> None:
        self._running.pop()

    def __torch_function__(
        self, function: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        result, name = function(*args, **(kwargs or {})), function.__name__
        given = list(_tensors(args))
        if given and all(id(tensor) in self._constants for tensor in given):
            if isinstance(result, Tensor):
                self._constants[id(result)] = result
        elif name in COUNTERS:
            kind, count = COUNTERS[name]
            self.counts[self._running[-1]][kind] += count(args, result)
        elif name not in FREE:
            self.unknown.add(name)
        return result


def _tensors(values: Any) -> Iterator[Tensor]:
    """All tensors in arguments, also those in lists."""
    for value in values:
        if isinstance(value, Tensor):
            yield value
        elif isinstance(value, list | tuple):
            yield from _tensors(value)
