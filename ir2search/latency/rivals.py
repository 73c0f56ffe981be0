"""Other ways to run a network on a CPU: onnxruntime in float32 and in 8 bits, compiled torch."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from torch import nn

from ir2search.export.onnx_graph import INPUT, onnx_model
from ir2search.space import Candidate, build

Way = Callable[[np.ndarray], np.ndarray]  # images (N, C, H, W) float32 to logits (N, classes)
CALIBRATION = 8  # batches of one image from which 8-bit ranges are taken


def float_twin(candidate: Candidate) -> nn.Module:
    """The same network with full-precision convolutions and no signs, in evaluation mode.

    Its weights are random: no rival's time depends on them.
    """
    return build(candidate.twin()).eval()


def onnxruntime_float(network: nn.Module, image: tuple[int, int, int], threads: int) -> Way:
    """The network in float32 under onnxruntime, with all its optimisations."""
    return _session(onnx_model(network, image), threads)


def onnxruntime_int8(network: nn.Module, image: tuple[int, int, int], threads: int) -> Way:
    """The network with weights and activations of 8 bits under onnxruntime.

    Quantised statically, a scale for each output channel of the weights; ranges are taken from
    random images, since only time is asked for.
    """
    from onnxruntime.quantization import QuantFormat, QuantType, quantize_static

    with tempfile.TemporaryDirectory() as folder, _quiet():
        source, target = Path(folder) / "float.onnx", Path(folder) / "int8.onnx"
        onnx.save(onnx_model(network, image), source)
        quantize_static(
            source,
            target,
            _Random(image),
            quant_format=QuantFormat.QDQ,
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
        )
        return _session(onnx.load(target), threads)


def compiled_torch(network: nn.Module, image: tuple[int, int, int], threads: int) -> Way:
    """The network in float32 compiled by torch (inductor), for the threads it has then.

    Compiled code is made for a number of threads and one batch: about a minute for each.
    """
    torch.set_num_threads(threads)
    torch._dynamo.reset()
    compiled = torch.compile(network, dynamic=False)

    def run(images: np.ndarray) -> np.ndarray:
        with torch.no_grad():
            logits: np.ndarray = compiled(torch.from_numpy(images)).numpy()
        return logits

    return run


RIVALS: dict[str, Callable[[nn.Module, tuple[int, int, int], int], Way]] = {
    "onnxruntime": onnxruntime_float,
    "int8": onnxruntime_int8,
    "torch": compiled_torch,
}


def _session(model: onnx.ModelProto, threads: int) -> Way:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    # its threads would go on spinning, in the time of whoever runs next
    options.add_session_config_entry("session.force_spinning_stop", "1")
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    return lambda images: session.run(None, {INPUT: images})[0]


class _Random:
    """Calibration images, as onnxruntime reads them."""

    def __init__(self, image: tuple[int, int, int]) -> None:
        generator = np.random.default_rng(0)
        self._left = [
            {INPUT: generator.standard_normal((1, *image), dtype=np.float32)}
            for _ in range(CALIBRATION)
        ]

    def get_next(self) -> dict[str, Any] | None:
        return self._left.pop() if self._left else None


@contextmanager
def _quiet() -> Iterator[None]:
    """Without advice to preprocess the model, which standard operations do not need."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(before)
