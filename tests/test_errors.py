from __future__ import annotations

import numpy as np
import pytest
import torch

from ir2search.errors import is_out_of_memory


@pytest.mark.parametrize(
    "allocate",
    [
        lambda: torch.empty(10**15),
        lambda: torch.empty(2**62),
        lambda: torch.empty(2**70),
        lambda: np.empty(10**16),
    ],
    ids=["beyond memory", "beyond 64 bits of bytes", "beyond 64 bits", "numpy"],
)
def test_a_failed_allocation_is_out_of_memory(allocate: object) -> None:
    with pytest.raises((MemoryError, RuntimeError, TypeError)) as caught:
        allocate()  # type: ignore[operator]
    assert is_out_of_memory(caught.value)


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"),
        RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
        RuntimeError("DefaultCPUAllocator: not enough memory: you tried to allocate 8 bytes."),
        RuntimeError("std::bad_alloc"),
        MemoryError(),
    ],
    ids=str,
)
def test_messages_of_all_libraries_for_out_of_memory_are_recognised(error: Exception) -> None:
    assert is_out_of_memory(error)


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("mat1 and mat2 shapes cannot be multiplied (2x3 and 4x5)"),
        RuntimeError("CUDA error: device-side assert triggered"),
        ValueError("out of memory"),
        OverflowError("int too large to convert to float"),
    ],
    ids=str,
)
def test_other_errors_are_not_out_of_memory(error: Exception) -> None:
    assert not is_out_of_memory(error)
