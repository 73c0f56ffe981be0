"""Calls of the kernels with tensors, and the packed signs that several calls share."""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import torch
from torch import Tensor, nn

from ir2search.kernels.training import library
from ir2search.nn.threads import kernel_threads

_Shared = dict[int, tuple[Tensor, Tensor]]  # weights and their packed signs
_shared: ContextVar[_Shared | None] = ContextVar("shared", default=None)


@contextmanager
def fixed_weights() -> Iterator[None]:
    """Pack the signs of each tensor of weights once for all forward passes inside this context.

    The weights must not change inside.
    """
    token = _shared.set({})
    try:
        yield
    finally:
        _shared.reset(token)


def packed_signs(latent: Tensor, shape: array[int]) -> Tensor:
    """The signs of latent weights in the form that the kernels take."""
    # a tensor that is computed from a parameter is another one in each pass
    shared = _shared.get() if isinstance(latent, nn.Parameter) else None
    kernels, key = library(), id(latent)
    assert kernels is not None
    if shared is not None and key in shared:
        return shared[key][1]
    words = kernels.ir2_packed_words(shape.buffer_info()[0])
    packed = torch.empty(words, dtype=torch.int16)
    call("ir2_pack", latent, packed, shape)
    if shared is not None:
        shared[key] = latent, packed  # as long as latent is here, no other tensor has its id
    return packed


def empty_bits(shape: array[int]) -> Tensor:
    """An uninitialised tensor for the packed signs of the input of a convolution."""
    kernels = library()
    assert kernels is not None
    return torch.empty(kernels.ir2_bit_words(shape.buffer_info()[0]), dtype=torch.int16)


def call(kernel: str, *arguments: Tensor | array[int] | float | None) -> None:
    """Run a kernel on its threads; tensors must be contiguous."""
    given = [
        argument.data_ptr()
        if isinstance(argument, Tensor)
        else argument.buffer_info()[0]
        if isinstance(argument, array)
        else argument
        for argument in arguments
    ]
    getattr(library(), kernel)(*given, kernel_threads())
