"""Findings of an analysis in words, with numbers and intervals.

A change is measurable if its 95% interval over images excludes zero. ``4.1 ± 0.8`` is a value with
half the width of its interval.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import pandas as pd

from ir2search import text
from ir2search.information.suggestion import suggestions
from ir2search.measures.names import ACCURACY, ACCURACY_BEYOND_TWIN, BINARY, TWIN, WHOLE
from ir2search.measures.tables import by_layer, largest_part, layers_table, sensitivity_table

MOST = 3  # layers that a sentence names


@dataclass(frozen=True)
class Value:
    """A number of a finding.

    Attributes:
        layer: name of the layer or stage, or ``"network"``.
        value: the number.
        low: lower end of its 95% interval over images.
        high: upper end.
        unit: unit of the numbers.
        ops: OPs that a release of the layer costs, if it is one.
    """

    layer: str
    value: float
    low: float
    high: float
    unit: str
    ops: float | None = None

    @property
    def is_measurable(self) -> bool:
        """Whether the interval excludes zero."""
        return self.low > 0 or self.high < 0

    @property
    def size(self) -> str:
        """The size with its interval, without a sign: "4.1 ± 0.8"."""
        ends = (self.low, self.high) if self.value >= 0 else (-self.high, -self.low)
        return text.with_interval(abs(self.value), *ends, ".1f" if self.unit == "points" else ".2f")


@dataclass(frozen=True)
class Finding:
    """A sentence, and the numbers in it.

    Attributes:
        topic: ``"accuracy"``, ``"binarised"``, ``"released"``, ``"suggested"``,
            ``"information"`` or ``"noise"``.
        sentence: in plain words.
        values: all numbers on the topic, also those that the sentence does not name.
    """

    topic: str
    sentence: str
    values: tuple[Value, ...]

    def as_dict(self) -> dict[str, Any]:
        """All fields, as values for JSON; values have OPs if they are known."""
        values = ({n: v for n, v in vars(each).items() if v is not None} for each in self.values)
        return asdict(self) | {"values": list(values)}


def findings(table: pd.DataFrame) -> list[Finding]:
    """What an analysis found, in words; a topic that was not measured is left out.

    Args:
        table: as `ir2search.information.measure` returns it.
    """
    layers, swept = layers_table(table), sensitivity_table(table)
    found = [
        _accuracy(table),
        _binarised(swept),
        _released(swept),
        _suggested(swept),
        _information(layers),
        _noise(layers),
    ]
    return [each for each in found if each is not None]


def _accuracy(table: pd.DataFrame) -> Finding | None:
    own, twin = (by_layer(table, name, ACCURACY)["value"] for name in (BINARY, TWIN))
    if own.empty:
        return None
    sentence = f"The binary network classifies {text.percent(own[WHOLE])} of the images"
    compared = _values(by_layer(table, BINARY, ACCURACY_BEYOND_TWIN).reset_index(), "points")
    if not compared:
        return Finding("accuracy", f"{sentence}.", ())
    beyond = compared[0]
    sentence += f", its full-precision twin {text.percent(twin[WHOLE])}: "
    if beyond.is_measurable:
        sentence += f"{beyond.size} points {'more' if beyond.value > 0 else 'less'}."
    else:
        sentence += f"no measurable difference ({beyond.low:+.1f} to {beyond.high:+.1f} points)."
    return Finding("accuracy", sentence, (beyond,))


def _binarised(swept: pd.DataFrame) -> Finding | None:
    """What binarisation costs the twin: by stage, or by layer where there are no stages."""
    both = largest_part(swept)
    every = _values(both, "points", "binarised_accuracy_points")
    whole = [each for each in every if each.layer == WHOLE]
    stages = [each for each in every if each.layer in _of_kind(both, "stage")]
    parts = stages or [each for each in every if each.layer in _of_kind(both, "layer")]
    if not parts:
        return None
    costs = _ranked(parts, lambda each: -each.value)
    gains = _ranked(parts, lambda each: each.value)
    said = [f"{each.layer} {_cost(each)}" for each in (*costs[:MOST], *gains[:MOST])]
    sentence = "Binarised alone in the twin: " + _listed(said, parts)
    if whole and whole[0].is_measurable:
        sentence += f" All together: {_cost(whole[0])}."
    return Finding("binarised", sentence, tuple(every))


def _released(swept: pd.DataFrame) -> Finding | None:
    """How much accuracy a layer of the binary network gains if it is released, and its costs."""
    both = largest_part(swept)
    every = _values(both, "points", "released_accuracy_points")
    layers = [each for each in every if each.layer in _of_kind(both, "layer")]
    if not layers:
        return None
    ops = dict(zip(both["layer"], both["released_ops"], strict=True))
    gains = _ranked(layers, lambda each: each.value)
    harms = [each for each in layers if each.is_measurable and each.value < 0]
    said = [
        f"{each.layer} returns {each.size} points for {text.count(ops[each.layer])} OPs"
        for each in gains[:MOST]
    ]
    if harms:
        worst = min(harms, key=lambda each: each.value)
        said.append(
            f"without training again, {len(harms)} of {len(layers)} layers "
            f"{'lose' if len(harms) > 1 else 'loses'} accuracy "
            f"(most: {worst.layer}, {worst.size} points)"
        )
    sentence = "Released alone in the binary network: " + _listed(said, layers)
    return Finding("released", sentence, tuple(every))


def _suggested(swept: pd.DataFrame) -> Finding | None:
    """The layers that are worth most for their OPs."""
    if swept["released_ops"].isna().all():
        return None
    found = suggestions(swept)
    if not found:
        sentence = (
            "No layer is suggested for full precision: none is worth accuracy that can be measured "
            "on these images."
        )
        return Finding("suggested", sentence, ())
    values = tuple(
        Value(each.layer, each.points, each.low, each.high, "points", each.ops) for each in found
    )
    said = (f"{each.layer} ({each.size} points for {text.count(each.ops)} OPs)" for each in values)
    why = "what signs cost there in the twin" if found[0].from_twin else "what a release returns"
    sentence = f"Suggested for full precision, by {why} for its OPs: {', '.join(said)}."
    return Finding("suggested", sentence, values)


def _information(layers: pd.DataFrame) -> Finding | None:
    """The layers in which usable information is lost or gained."""
    every = _values(layers, "bits", "loss")
    if not every:
        return None
    lost = _ranked(every, lambda each: each.value)
    gained = _ranked(every, lambda each: -each.value)
    said = [f"{each.layer} loses {each.size} bits" for each in lost[:MOST]]
    said += [f"{each.layer} gains {each.size} bits" for each in gained[:MOST]]
    sentence = "About the label, for a linear probe: " + _listed(said, every)
    return Finding("information", sentence, tuple(every))


def _noise(layers: pd.DataFrame) -> Finding | None:
    """Where the signal is close to the noise."""
    local = _values(layers, "dB", "local_sqnr_db")
    graph = _values(layers, "dB", "graph_sqnr_db")
    if not local:
        return None
    worst = min(local, key=lambda each: each.value)
    sentence = (
        f"Signs leave the least signal in {worst.layer}: {worst.value:.1f} dB above the noise on "
        "the network's own input."
    )
    if graph:
        first, last = graph[0], graph[-1]
        sentence += (
            f" Against the twin, from the image on: {first.value:.1f} dB after {first.layer}, "
            f"{last.value:.1f} dB after {last.layer}."
        )
    return Finding("noise", sentence, (*local, *graph))


def _values(table: pd.DataFrame, unit: str, column: str = "value") -> list[Value]:
    """The known numbers of a column with its interval, by layer."""
    ends = ("low", "high") if column == "value" else (f"{column}_low", f"{column}_high")
    known = table.dropna(subset=[column, *ends])
    found = []
    for row in known.to_dict("records"):
        value, low, high = (float(row[name]) for name in (column, *ends))
        found.append(Value(str(row["layer"]), value, low, high, unit))
    return found


def _of_kind(swept: pd.DataFrame, kind: str) -> set[str]:
    return set(swept.loc[swept["kind"] == kind, "layer"])


def _ranked(values: Iterable[Value], by: Callable[[Value], float]) -> list[Value]:
    """The measurable values for which ``by`` is above 0, the largest first."""
    chosen = [each for each in values if each.is_measurable and by(each) > 0]
    return sorted(chosen, key=by, reverse=True)


def _cost(value: Value) -> str:
    return f"{'costs' if value.value < 0 else 'gains'} {value.size} points"


def _listed(said: Sequence[str], every: Sequence[Value]) -> str:
    """The statements, and which layers have no measurable change."""
    others = [each for each in every if not each.is_measurable]
    if not said:
        return "nothing measurable."
    if others and len(others) <= 2 * MOST:
        said = [*said, f"{text.names(each.layer for each in others)}: nothing measurable"]
    elif others:
        said = [*said, f"{len(others)} of {len(every)} layers: nothing measurable"]
    return "; ".join(said) + "."
