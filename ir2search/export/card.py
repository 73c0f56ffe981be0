"""The model card of an exported network, in Markdown."""

from __future__ import annotations

import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ir2search import text
from ir2search.costs import Cost, cost
from ir2search.data import ImageData
from ir2search.escape import markdown
from ir2search.runtime import RuntimeTime
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
        license: license of the weights.
        latency: time of the network on the runtime; None if it was not timed.
    """

    title: str = "A binary network"
    data: str = "not stated"
    made: str = "not stated"
    validation: Sequence[float] = ()
    test: Sequence[float] = ()
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
        f"- test images: {_accuracy(origin.test)}",
        "## Costs of one image",
        f"{price.flops:,} FLOPs, {price.bops:,} BOPs: {price.ops:,.0f} OPs (FLOPs + BOPs / 64). "
        f"{price.parameters:,} parameters, of which {price.binary_parameters:,} are binary: "
        f"{text.size(price.memory_bytes)} with all buffers, against {text.size(full)} for "
        "the parameters in 32 bits.",
        _layers(price),
        "## Latency",
        _latency(origin.latency),
        "## The file",
        f"`{exported['format']}`, {exported['bytes']:,} bytes. The file was read back and compared "
        f"with the trained network on {exported['images']:,} validation images: all predictions "
        f"are equal, and logits differ by at most {exported['largest_difference']:.3g}.",
        "## How it was made",
        f"{markdown(origin.made)}, by ir2search on Python {platform.python_version()}. "
        "The network:",
        "\n".join(f"- {name}: {_shown(value)}" for name, value in candidate.as_dict().items()),
    ]
    return "\n\n".join(parts) + "\n"


def _accuracy(values: Sequence[float]) -> str:
    if len(values) > 1:
        return f"{text.spread(values)} (mean and standard deviation of {len(values)} seeds)"
    return f"{text.percent(values[0])} (one seed)" if values else "not measured"


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
    if isinstance(value, dict):  # the recipe's own values
        value = [f"{name} = {each}" for name, each in value.items()]
    return markdown(text.names(value) if isinstance(value, list | tuple) else value)


def _values(values: Sequence[float]) -> str:
    return "(" + ", ".join(f"{value:.4f}" for value in values) + ")"
