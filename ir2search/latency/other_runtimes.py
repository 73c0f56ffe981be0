"""Other runtimes on a CPU: onnxruntime in float32 and in 8 bits, compiled torch.

Each is a function of a network in evaluation mode, the (channels, height, width) of an image,
and the number of threads. It returns a function from images to logits. The runtimes on onnxruntime
raise MissingExtraError if onnx or onnxruntime is not installed.
"""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from ir2search.export.onnx_graph import onnx_model
from ir2search.extras import require
from ir2search.space import Candidate, build
from ir2search.zoo.onnx_file import INPUT, Forward, onnx_run

CALIBRATION = 8  # number of images that set the ranges of 8-bit values


def float_twin(candidate: Candidate) -> nn.Module:
    """The same network with full-precision convolutions and no signs, in evaluation mode.

    Its weights are random: they do not change the time.
    """
    return build(candidate.twin()).eval()


def onnxruntime_float(network: nn.Module, image: tuple[int, int, int], threads: int) -> Forward:
    """The network in float32 on onnxruntime, with all its optimisations."""
    return onnx_run(onnx_model(network, image).SerializeToString(), threads)


def onnxruntime_int8(network: nn.Module, image: tuple[int, int, int], threads: int) -> Forward:
    """The network with weights and activations of 8 bits on onnxruntime.

    Quantisation is static, with a scale for each output channel of the weights. Ranges come from
    random images, because only the time matters.
    """
    onnx = require("onnx", extra="export")
    tools = require("onnxruntime.quantization", extra="export")
    with tempfile.TemporaryDirectory() as folder, _without_warnings():
        source, target = Path(folder) / "float.onnx", Path(folder) / "int8.onnx"
        onnx.save(onnx_model(network, image), source)
        tools.quantize_static(
            source,
            target,
            _RandomImages(image),
            quant_format=tools.QuantFormat.QDQ,
            per_channel=True,
            activation_type=tools.QuantType.QUInt8,
            weight_type=tools.QuantType.QInt8,
        )
        return onnx_run(target.read_bytes(), threads)


def compiled_torch(network: nn.Module, image: tuple[int, int, int], threads: int) -> Forward:
    """The network in float32, compiled by torch (inductor); sets the threads of the whole process.

    Compilation takes about a minute for each number of threads and each batch size.
    """
    torch.set_num_threads(threads)
    torch._dynamo.reset()
    compiled = torch.compile(network, dynamic=False)

    def run(images: np.ndarray) -> np.ndarray:
        with torch.no_grad():
            logits: np.ndarray = compiled(torch.from_numpy(images)).numpy()
        return logits

    return run


OTHER_RUNTIMES: dict[str, Callable[[nn.Module, tuple[int, int, int], int], Forward]] = {
    "onnxruntime": onnxruntime_float,
    "int8": onnxruntime_int8,
    "torch": compiled_torch,
}


class _RandomImages:
    """Calibration images in the form that onnxruntime reads."""

    def __init__(self, image: tuple[int, int, int]) -> None:
        generator = np.random.default_rng(0)
        self._left = [
            {INPUT: generator.standard_normal((1, *image), dtype=np.float32)}
            for _ in range(CALIBRATION)
        ]

    def get_next(self) -> dict[str, Any] | None:
        return self._left.pop() if self._left else None


@contextmanager
def _without_warnings() -> Iterator[None]:
    """Hide onnxruntime's advice to preprocess the model, which these models do not need."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(before)
