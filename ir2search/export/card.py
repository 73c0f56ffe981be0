"""What is said of an exported network, for people: a model card in Markdown."""

from __future__ import annotations

import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ir2search import text
from ir2search.costs import cost
from ir2search.data import ImageData
from ir2search.latency import EngineTime
from ir2search.space import Candidate


@dataclass(frozen=True)
class Origin:
    """Where a network comes from, as far as is known.

    Attributes:
        title: of the card.
        data: what it was trained on.
        made: how, in a phrase.
        validation: accuracies on validation images, one a seed.
        test: accuracies on test images, likewise.
        license: of the weights.
        latency: what the engine takes for it, where that was measured before.
    """

    title: str = "A binary network"
    data: str = "not stated"
    made: str = "not stated"
    validation: Sequence[float] = ()
    test: Sequence[float] = ()
    license: str | None = None
    latency: EngineTime | None = None


def model_card(
    candidate: Candidate, data: ImageData, exported: Mapping[str, Any], origin: Origin
) -> str:
    """The card of a file that was exported and compared; ``exported`` as `Exported.as_dict`."""
    price = cost(candidate)
    full = 4 * price.parameters
    parts = [
        f"# {origin.title}",
        f"License: {origin.license or 'not stated; state one before you share the file'}",
        "## Data",
        f"{origin.data}: {data.classes} classes, images of {_size(candidate.image)}. "
        f"Its images have the fingerprint `{data.fingerprint}`. Normalise images to mean "
        f"{_values(data.mean)} and deviation {_values(data.std)}, by channel, from 0 to 1.",
        "## Accuracy",
        f"- validation images: {_accuracy(origin.validation)}\n"
        f"- test images: {_accuracy(origin.test)}",
        "## Costs of one image",
        f"{price.flops:,} FLOPs, {price.bops:,} BOPs: {price.ops:,.0f} OPs (FLOPs + BOPs / 64). "
        f"{price.parameters:,} parameters, {price.binary_parameters:,} of them 1 bit: "
        f"{text.size(price.memory_bytes)} with all buffers, against {text.size(full)} of "
        "parameters in 32 bits.",
        _layers(candidate),
        "## Latency",
        _latency(origin.latency),
        "## The file",
        f"`{exported['format']}`, {exported['bytes']:,} bytes. Read back, it predicted as the "
        f"training graph did on all of {exported['images']:,} validation images; logits differed "
        f"by {exported['largest_difference']:.3g} at most.",
        "## How it was made",
        f"{origin.made}, by ir2search on Python {platform.python_version()}. The network:",
        "\n".join(f"- {name}: {value}" for name, value in candidate.as_dict().items()),
    ]
    return "\n\n".join(parts) + "\n"


def _accuracy(values: Sequence[float]) -> str:
    if len(values) > 1:
        return f"{text.spread(values)} (mean and deviation of {len(values)} seeds)"
    return f"{text.percent(values[0])} (one seed)" if values else "not measured"


def _latency(found: EngineTime | None) -> str:
    if found is None:
        return "not measured; see `ir2search latency`"
    timing = found.an_image
    seconds = (timing.low, timing.median, timing.high)
    low, median, high = (text.milliseconds(1000 * value) for value in seconds)
    threads, batch = found.setting.threads, found.setting.batch
    return (
        f"{median} an image (quartiles {low} to {high}, {found.timing.calls:,} calls) as a packed "
        f"file on this package's engine; threads: {threads}; images a call: {batch}; processor: "
        f"{found.machine.cpu}."
    )


def _layers(candidate: Candidate) -> str:
    rows = ["| layer | FLOPs | BOPs | parameters | memory |", "| --- | ---: | ---: | ---: | ---: |"]
    for row in cost(candidate).rows:
        if row.flops or row.bops or row.parameters:
            counts = " | ".join(f"{n:,}" for n in (row.flops, row.bops, row.parameters))
            rows.append(f"| {row.name} | {counts} | {text.size(row.memory_bytes)} |")
    return "\n".join(rows)


def _size(image: tuple[int, int, int]) -> str:
    channels, height, width = image
    return f"{channels} x {height} x {width}"


def _values(values: Sequence[float]) -> str:
    return "(" + ", ".join(f"{value:.4f}" for value in values) + ")"
