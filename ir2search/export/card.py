"""The model card of an exported network, in Markdown."""

from __future__ import annotations

import json
import platform
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ir2search import text
from ir2search.costs import Cost, cost
from ir2search.data import ImageData
from ir2search.escape import markdown, one_line
from ir2search.intervals import share_interval
from ir2search.runtime import ImageSpec, RuntimeTime
from ir2search.space import Candidate


@dataclass(frozen=True)
class Origin:
    """Where a network comes from, as far as is known.

    Attributes:
        title: title of the model card.
        data: name of the training data.
        made: how the network was trained, in a phrase.
        validation: accuracies on validation images, from 0 to 1, one for each seed.
        test: accuracies on test images, from 0 to 1, one for each seed.
        test_images: number of test images; None if it is not known.
        first_hundred: number of the first hundred test images that are classified correctly.
        command: trains the network again.
        license: license of the weights.
        latency: time of the network on the runtime; None if it was not timed.
    """

    title: str = "A binary network"
    data: str = "not stated"
    made: str = "not stated"
    validation: Sequence[float] = ()
    test: Sequence[float] = ()
    test_images: int | None = None
    first_hundred: int | None = None
    command: str | None = None
    license: str | None = None
    latency: RuntimeTime | None = None


def model_card(
    candidate: Candidate, data: ImageData, exported: Mapping[str, Any], origin: Origin
) -> str:
    """The card of an exported file, as Markdown.

    Args:
        candidate: describes the network.
        data: the images that the file was checked on.
        exported: the values of `Exported.as_dict`.
        origin: where the network comes from.
    """
    price = cost(candidate)
    full = 4 * price.parameters
    license_ = origin.license or "not stated; state one before you share the file"
    size = " x ".join(map(str, candidate.image))
    parts = [
        f"# {markdown(origin.title)}",
        f"License: {markdown(license_)}",
        "## Data",
        f"{markdown(origin.data)}: {data.classes} classes, images of {size}. "
        f"The fingerprint of its images is `{data.fingerprint}`. Normalise pixels from 0 to 1, by "
        f"channel, with mean {_values(data.mean)} and standard deviation {_values(data.std)}.",
        "## Accuracy",
        f"- validation images: {_accuracy(origin.validation)}\n"
        f"- test images: {_accuracy(origin.test)}" + _test_details(origin),
        "## Costs of one image",
        f"{price.flops:,} FLOPs, {price.bops:,} BOPs: {price.ops:,.0f} OPs (FLOPs + BOPs / 64). "
        f"{price.parameters:,} parameters, of which {price.binary_parameters:,} are binary: "
        f"{text.size(price.memory_bytes)} with all buffers, against {text.size(full)} for "
        "the parameters in 32 bits.",
        _layers(price),
        "## Latency",
        _latency(origin.latency),
        "## The file",
        f"{_FILES[exported['format']]}, {exported['bytes']:,} bytes. It has the mean and standard "
        "deviation of the images and the names of the classes. It was read back and compared "
        f"with the trained network on {exported['images']:,} validation images: all predictions "
        f"are equal, and logits differ by at most {exported['largest_difference']:.3g}.",
        "## How to use it",
        _use(exported, data.spec(origin.data)),
        "## How it was made",
        f"{markdown(origin.made)}, by ir2search on Python {platform.python_version()}.",
        *([] if origin.command is None else [f"```console\n{one_line(origin.command)}\n```"]),
        "The network:",
        "\n".join(
            f"- {name}: {_shown(value)}"
            for name, value in candidate.as_dict().items()
            if value is not None
        ),
    ]
    return "\n\n".join(parts) + "\n"


_FILES = {
    "packed": "`packed`",
    "onnx": "`onnx`",
    "safetensors": "`safetensors`",
    "c": "A folder of C99, whose README says what flash and RAM it takes",
    "web": "A page for browsers",
}
# six lines after the imports, for each format
_PREDICT = """\
import ir2search as ir

predictions = ir.predict({file}, ["image.png"], top=3)
for prediction in predictions:
    print(prediction.image)
    for each in prediction.classes:
        share = round(100 * each.probability, 1)
        print(each.name, share)
"""
_ONNX = """\
import json

import numpy as np
import onnxruntime
from PIL import Image, ImageOps

session = onnxruntime.InferenceSession({file})
about = json.loads(session.get_modelmeta().custom_metadata_map["images"])
image = {resized}
pixels = (np.float32(image).reshape({height}, {width}, {channels}) / 255 - about["mean"]) / about["std"]
(logits,) = session.run(["logits"], {{"images": np.float32(pixels.transpose(2, 0, 1)[None])}})
print(about["class_names"][logits.argmax()])
"""  # noqa: E501
_C = """\
#include "network.h"

int label = ir2_classify(pixels); /* {height} x {width} x {channels} bytes, normalised inside */
const char *name = ir2_class_names[label];
"""
_USES = {  # language and lines
    "packed": ("python", _PREDICT),
    "onnx": ("python", _ONNX),
    "safetensors": ("python", _PREDICT),
    "c": ("c", _C),
}


def _use(exported: Mapping[str, Any], spec: ImageSpec) -> str:
    if exported["format"] == "web":
        return "Open it in a browser. It needs no server and no network."
    channels, height, width = spec.image
    image, size = 'Image.open("image.png").convert("RGB")', f"({width}, {height}), Image.BILINEAR"
    if spec.crop == "centre":  # without a margin of (1 - 224 / 256) / 2 at each side
        resized = f"ImageOps.fit({image}, {size}, 0.0625)"
    else:
        resized = f"{image}.resize({size})"
    name = Path(exported["file"]).name
    quoted = shlex.quote(name)
    is_c = exported["format"] == "c"
    command = f"make -C {quoted}" if is_c else f"ir2search predict {quoted} image.png"
    language, lines = _USES[exported["format"]]
    code = lines.format(
        file=json.dumps(name),
        resized=resized + ('.convert("L")' if channels == 1 else ""),
        channels=channels,
        height=height,
        width=width,
    )
    return f"```console\n{command}\n```\n\n```{language}\n{code}```"


def _accuracy(values: Sequence[float]) -> str:
    if len(values) > 1:
        return f"{text.spread(values)} (mean and standard deviation of {len(values)} seeds)"
    return f"{text.percent(values[0])} (one seed)" if values else "not measured"


def _test_details(origin: Origin) -> str:
    """The number of test images, the interval, and the check on the first hundred."""
    lines = ""
    if origin.test_images is not None and len(origin.test) == 1:
        low, high = share_interval(origin.test[0], origin.test_images)
        lines += (
            f", of {origin.test_images:,} images; the 95% interval for other images of this kind "
            f"is {text.interval(low, high)}"
        )
    if origin.first_hundred is not None:
        lines += f"\n- the first 100 test images: {origin.first_hundred} are right"
    return lines


def _latency(found: RuntimeTime | None) -> str:
    if found is None:
        return "not measured; see `ir2search latency`"
    timing = found.per_image
    seconds = (timing.low, timing.median, timing.high)
    low, median, high = (text.milliseconds(1000 * value) for value in seconds)
    threads, batch = found.setting.threads, found.setting.batch
    return (
        f"{median} per image (quartiles {low} to {high}, {found.timing.calls:,} calls) as a packed "
        f"file on the runtime of ir2search; threads: {threads}; images per call: {batch}; "
        f"processor: {markdown(found.machine.cpu)}."
    )


def _layers(price: Cost) -> str:
    rows = ["| layer | FLOPs | BOPs | parameters | memory |", "| --- | ---: | ---: | ---: | ---: |"]
    for row in price.rows:
        if row.flops or row.bops or row.parameters:
            counts = " | ".join(f"{n:,}" for n in (row.flops, row.bops, row.parameters))
            rows.append(f"| {markdown(row.name)} | {counts} | {text.size(row.memory_bytes)} |")
    return "\n".join(rows)


def _shown(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, dict):  # the recipe's own values
        value = [f"{name} = {each}" for name, each in value.items()]
    return markdown(text.names(value) if isinstance(value, list | tuple) else value)


def _values(values: Sequence[float]) -> str:
    return "(" + ", ".join(f"{value:.4f}" for value in values) + ")"
