"""ONNX files of `ir2search export`, run by onnxruntime on the CPU."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ir2search.errors import WeightsError, first_line
from ir2search.extras import require
from ir2search.files import parse_json_values, read_bytes
from ir2search.runtime import ImageSpec, image_spec
from ir2search.runtime.graph import Array
from ir2search.space import Candidate, candidate_from_dict

ONNX = ".onnx"  # the suffix of ONNX files
INPUT, OUTPUT = "images", "logits"
LARGEST_FILE = 2**30  # bytes
FATAL = 4  # the level of onnxruntime's messages: errors are raised, not logged

Forward = Callable[[Array], Array]  # images (N, C, H, W) to logits (N, classes), both float32


@dataclass(frozen=True)
class OnnxNetwork:
    """A network of an ONNX file.

    Attributes:
        candidate: describes the network.
        images: what its images must be like, and the names of its classes.
        logits: from normalised images (N, C, H, W) to logits (N, classes), both float32.
    """

    candidate: Candidate
    images: ImageSpec
    logits: Forward


def load_onnx(file: Path) -> OnnxNetwork:
    """Load an ONNX file of `ir2search export`.

    Raises:
        WeightsError: the file is missing or damaged, or does not say what network it is and how to
            normalise images.
        MissingExtraError: onnxruntime is not installed.
    """
    session = _session(_read(file), file, threads=1)
    about = _header(session, file)
    if not isinstance(about.get("candidate"), dict):
        raise WeightsError(f"{file}: does not name its network; export the network again")
    spec = image_spec(about, file)
    candidate = candidate_from_dict(about["candidate"], str(file))
    found = _signature(session)
    if found != ((INPUT, spec.image), (OUTPUT, (len(spec.class_names),))):
        raise WeightsError(
            f"{file}: the images and classes that it names are not those of its network; export "
            "the network again"
        )
    return OnnxNetwork(candidate, spec, _forward(session, file))


def onnx_run(model: bytes, threads: int = 1) -> Forward:
    """Load an ONNX model of `ir2search.onnx_model` into onnxruntime, on the CPU.

    Returns:
        A function from images (N, C, H, W) to logits (N, classes), both float32.

    Raises:
        WeightsError: onnxruntime cannot run the model.
        MissingExtraError: onnxruntime is not installed.
    """
    return _forward(_session(model, "the model", threads), "the model")


def _forward(session: Any, name: object) -> Forward:
    def run(images: Array) -> Array:
        try:
            logits: Array = session.run([OUTPUT], {INPUT: images})[0]
        except Exception as error:
            raise _refused(name, "run", error) from None
        return logits

    return run


def _session(model: bytes, name: object, threads: int) -> Any:
    onnxruntime = require("onnxruntime", extra="export")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = FATAL
    # else its threads stay busy after a call, and slow down what is timed next
    options.add_session_config_entry("session.force_spinning_stop", "1")
    try:
        return onnxruntime.InferenceSession(
            model, options, providers=["CPUExecutionProvider"], enable_fallback=False
        )
    except Exception as error:  # its exceptions have no common base
        raise _refused(name, "load", error) from None


def _refused(name: object, what: str, error: Exception) -> WeightsError:
    reason = first_line(error)[:120]
    return WeightsError(f"{name}: onnxruntime cannot {what} it: {reason}; export the network again")


def _header(session: Any, file: Path) -> dict[str, Any]:
    try:
        return parse_json_values(session.get_modelmeta().custom_metadata_map)
    except UnicodeDecodeError:
        raise WeightsError(f"{file}: its header is damaged; export the network again") from None


def _signature(session: Any) -> tuple[tuple[str, tuple[Any, ...]], ...]:
    """Name and shape without the batch of each input and output."""
    return tuple(
        (each.name, tuple(each.shape[1:]))
        for each in (*session.get_inputs(), *session.get_outputs())
    )


def _read(file: Path) -> bytes:
    try:
        return read_bytes(file, LARGEST_FILE)
    except FileNotFoundError:
        raise WeightsError(f"{file}: no such file") from None
    except OSError as error:
        raise WeightsError(f"{file}: cannot be read: {error.strerror or error}") from None
