"""Write a network as a file, and check the file against the trained network."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch

from ir2search.data import ImageData
from ir2search.errors import InputError, IR2SearchError
from ir2search.export.c_folder import check_folder, write_c_folder
from ir2search.export.card import Origin, model_card
from ir2search.export.describe import describe
from ir2search.export.device import DeviceMemory
from ir2search.export.onnx_graph import onnx_model
from ir2search.export.web_page import write_web_page
from ir2search.files import replacing, write_bytes, write_text
from ir2search.kernels.inference import portable
from ir2search.models.network import TappedNetwork
from ir2search.runs.layout import CACHE
from ir2search.runs.trained_networks import images_of
from ir2search.runtime import Graph, PackedNetwork, RuntimeTime, read_packed, write_packed
from ir2search.runtime.graph import Array
from ir2search.runtime.packed import PACKED
from ir2search.space import Candidate
from ir2search.training.checkpoint import load_network, save_network
from ir2search.training.weights import load_weights
from ir2search.zoo import named_candidate
from ir2search.zoo.onnx_file import ONNX, Forward, onnx_run
from ir2search.zoo.shipped import INCLUDED

Format = Literal["packed", "onnx", "safetensors", "c", "web"]
SUFFIXES: dict[Format, str] = {  # c is a folder
    "packed": PACKED, "onnx": ONNX, "safetensors": ".safetensors", "c": "-c",
    "web": ".html",
}  # fmt: skip
IMAGES, BATCH = 1000, 50

Timer = Callable[[Graph], RuntimeTime]
About = Mapping[str, object]  # values for JSON


@dataclass(frozen=True)
class Exported:
    """An exported file, whose predictions equal those of the trained network.

    Attributes:
        file: path of the file; for ``"c"`` of the folder.
        card: path of its model card.
        format: format of the file.
        bytes: size of the file, or of all files in the folder.
        images: number of validation images that the file was checked on.
        largest_difference: the largest absolute difference of a logit.
        origin: where the network comes from, for the model card.
        ram_bytes: static memory on a microcontroller; None if the format is not ``"c"``.
        flash_bytes: constants and code on a microcontroller; None if the format is not ``"c"``.
    """

    file: Path
    card: Path
    format: Format
    bytes: int
    images: int
    largest_difference: float
    origin: Origin = field(repr=False)
    ram_bytes: int | None = None
    flash_bytes: int | None = None

    def as_dict(self) -> dict[str, Any]:
        """All fields except the origin, as values for JSON."""
        values = vars(self) | {"file": str(self.file), "card": str(self.card)}
        del values["origin"]
        return values


def export(
    network: TappedNetwork,
    candidate: Candidate,
    data: ImageData,
    file: str | Path,
    format: Format = "packed",  # noqa: A002 - the usual word
    *,
    origin: Origin | None = None,
    images: int = IMAGES,
    timer: Timer | None = None,
) -> Exported:
    """Write a trained network for a device, and a model card beside it.

    Args:
        network: the network, on the CPU.
        candidate: describes the network.
        data: the file is checked on the validation images.
        file: path to write; the card has the same name with ``.md`` added.
        format: ``"packed"`` for `ir2search.load_packed`, ``"onnx"``, ``"safetensors"`` for
            `ir2search.load_network`, ``"c"`` for a folder of C99 for a microcontroller, or
            ``"web"`` for a page that classifies images in a browser.
        origin: where the network comes from, for the model card.
        images: the largest number of images to check the file on.
        timer: times a packed file for the model card if ``origin`` has no time, for example
            `ir2search.time_on_runtime`, which takes one to three seconds.

    Raises:
        InputError: the format is unknown, the network cannot be exported, or the images have the
            wrong shape.
        MissingExtraError: a package that the format needs is not installed.
        MissingCompilerError: the C runtime must be compiled to check the file, and cannot be.
        IR2SearchError: the file predicts differently from the network; it was removed.
    """
    if format not in SUFFIXES:
        known = ", ".join(SUFFIXES)
        raise InputError(f"format: must be one of {known}, but got {format!r}")
    data.check_fit(candidate, "the network")
    file, network = Path(file), network.eval()
    origin = origin or Origin()
    about = {"candidate": candidate.as_dict(), "images": data.spec(origin.data).as_dict()}
    ram, flash = None, None
    if format == "c":
        count, difference, memory = _write_c(network, data, file, origin, images)
        ram, flash = memory.ram_bytes, memory.flash_bytes
    elif format == "web":
        count, difference = _write_web(network, data, file, origin, images)
    else:
        with replacing(file) as partial:
            run = _WRITERS[format](network, candidate, partial, about)
            count, difference = _compare(network, run, data, images)
    card = file.with_name(file.name + ".md")
    if timer is not None and format == "packed" and origin.latency is None:
        origin = replace(origin, latency=timer(read_packed(file)))
    found = Exported(file, card, format, _size(file), count, difference, origin, ram, flash)
    write_text(card, model_card(candidate, data, found.as_dict(), found.origin))
    return found


def export_weights(
    what: str,
    weights: str | Path,
    file: str | Path,
    format: Format = "packed",  # noqa: A002
    *,
    data: str | Path | None = None,
    license: str | None = None,  # noqa: A002
    timer: Timer | None = None,
) -> Exported:
    """Export a preset or a candidate with weights from a file.

    Args:
        what: a preset, a ``candidate.json``, or a trial's folder.
        weights: the file of its weights: safetensors, or a torch checkpoint.
        file: path to write; the card has the same name with ``.md`` added.
        format: ``"packed"``, ``"onnx"``, ``"safetensors"``, ``"c"`` or ``"web"``, see
            `ir2search.export`.
        data: a folder of images; None for the digits of scikit-learn.
        license: license of the weights, for the model card.
        timer: times a packed file for the model card, see `export`.

    Raises:
        InputError: an argument is wrong.
        MissingExtraError: a package that the format needs is not installed.
        MissingCompilerError: the C runtime must be compiled to check the file, and cannot be.
        IR2SearchError: the file predicts differently from the network; it was removed.
    """
    candidate = named_candidate(what)
    network = load_weights(candidate, Path(weights))
    file = Path(file)
    images = images_of(what, candidate, data, file.parent / CACHE)
    origin = Origin(
        title=Path(what).stem,
        data=INCLUDED if data is None else Path(data).name,
        made=f"weights of {Path(weights).name}",
        license=license,
    )
    return export(network, candidate, images, file, format, origin=origin, timer=timer)


def _compare(
    network: TappedNetwork, run: Forward, data: ImageData, limit: int
) -> tuple[int, float]:
    """Compare predictions; return the number of images and the largest difference of a logit."""
    count = min(limit, len(data.validation))
    wrong, largest = 0, 0.0
    for start in range(0, count, BATCH):
        raw, _ = data.validation.take(torch.arange(start, min(count, start + BATCH)))
        images = data.normalise(raw)
        with torch.no_grad():
            expected = network(images).numpy()
        logits = run(images.numpy())
        if not (np.isfinite(expected).all() and np.isfinite(logits).all()):
            raise IR2SearchError(
                "the network gives logits that are NaN or infinite, so nothing was written; train "
                "it again"
            )
        largest = max(largest, float(np.abs(expected - logits).max()))
        wrong += int((expected.argmax(axis=1) != logits.argmax(axis=1)).sum())
    if wrong:
        raise IR2SearchError(
            f"{wrong} of {count} predictions of the exported network differ from the trained "
            f"network's (logits by up to {largest:.3g}); nothing was written"
        )
    return count, largest


def _write_packed(
    network: TappedNetwork, candidate: Candidate, file: Path, about: About
) -> Forward:
    write_packed(file, describe(network, candidate.image), about)
    return PackedNetwork(read_packed(file)).logits


def _write_onnx(network: TappedNetwork, candidate: Candidate, file: Path, about: About) -> Forward:
    model = onnx_model(network, candidate.image)
    for key, value in _texts(about).items():
        model.metadata_props.add(key=key, value=value)
    write_bytes(file, model.SerializeToString())
    return onnx_run(file.read_bytes())


def _write_safetensors(
    network: TappedNetwork, candidate: Candidate, file: Path, about: About
) -> Forward:
    save_network(network, file, _texts(about))
    read_back = load_network(candidate, file)

    def run(images: Array) -> Array:
        with torch.no_grad():
            logits: Array = read_back(torch.from_numpy(images)).numpy()
        return logits

    return run


def _write_c(
    network: TappedNetwork, data: ImageData, folder: Path, origin: Origin, images: int
) -> tuple[int, float, DeviceMemory]:
    """Check the C runtime on the network, as it runs on a microcontroller, and write the folder."""
    check_folder(folder)
    graph, spec = describe(network, data.image), data.spec(origin.data)
    run = PackedNetwork(graph, variant=portable()).logits
    count, difference = _compare(network, run, data, images)
    example, _ = data.validation.take(torch.arange(1))
    label = int(run(data.normalise(example).numpy()).argmax())
    written = write_c_folder(folder, graph, spec, example[0].numpy(), label, origin.title)
    return count, difference, written.memory


def _write_web(
    network: TappedNetwork, data: ImageData, file: Path, origin: Origin, images: int
) -> tuple[int, float]:
    """Check the C runtime on the network, as it runs in a browser, and write the page."""
    graph, spec = describe(network, data.image), data.spec(origin.data)
    count, difference = _compare(
        network, PackedNetwork(graph, variant=portable()).logits, data, images
    )
    some, _ = data.validation.take(torch.arange(min(BATCH, len(data.validation))))
    write_web_page(file, graph, spec, origin, some.numpy())
    return count, difference


def _size(path: Path) -> int:
    files = path.iterdir() if path.is_dir() else [path]
    return sum(file.stat().st_size for file in files)


def _texts(about: About) -> dict[str, str]:
    return {key: json.dumps(value) for key, value in about.items()}


_WRITERS: dict[str, Callable[[TappedNetwork, Candidate, Path, About], Forward]] = {
    "packed": _write_packed,
    "onnx": _write_onnx,
    "safetensors": _write_safetensors,
}
