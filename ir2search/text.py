"""Numbers and names as text for users."""

from __future__ import annotations

import difflib
import statistics
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

NOTHING = "-"
LONGEST_NAME = 100  # characters of a name that are compared
FRACTIONS = (
    ("two thirds", 2 / 3), ("half", 1 / 2), ("a third", 1 / 3), ("a quarter", 1 / 4),
    ("a fifth", 1 / 5), ("a tenth", 1 / 10),
)  # fmt: skip
NEARLY = 0.05  # a ratio this near to a fraction is called by its name
# fields of a candidate that not all studies set
SHAPE = (
    "stem", "stem_levels", "stem_width", "stem_kernel", "stem_stride",
    "widths", "kernels", "groups",
)  # fmt: skip
RELEASED = ("int8_layers", "real_layers")  # lists of names, not in all studies


def percent(value: float | None) -> str:
    """Format a share as "97.9%"."""
    return NOTHING if value is None else f"{100 * value:.1f}%"


def spread(values: Sequence[float] | None) -> str:
    """Format shares as mean and standard deviation, "96.1 ± 0.3%"; "-" for fewer than two."""
    if values is None or len(values) < 2:
        return NOTHING
    deviation = 100 * statistics.stdev(values)
    return f"{100 * statistics.mean(values):.1f} ± {deviation:.1f}%"


def interval(low: float | None, high: float | None) -> str:
    """Format the interval of a share as "95.1 to 98.8%"; empty if it is not known."""
    return "" if low is None or high is None else f"{100 * low:.1f} to {100 * high:.1f}%"


def fraction(ratio: float) -> str:
    """Format a ratio of amounts for a sentence, "a third of" or "44% of"."""
    names = ((name, share) for name, share in FRACTIONS if abs(ratio / share - 1) <= NEARLY)
    return next((f"{name} of" for name, _ in names), f"{100 * ratio:.0f}% of")


def count(value: float | None) -> str:
    """Format a number with three digits and a decimal prefix: 1,228,416 as "1.23 M"."""
    if value is None:
        return NOTHING
    for factor, prefix in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= factor * 0.9995:
            return f"{_three_digits(value / factor)} {prefix}"
    return _three_digits(value)


def counted(number: int, noun: str) -> str:
    """A number with its noun: "1 epoch", "1,200 epochs"."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def size(value: float | None) -> str:
    """Format bytes as "60.8 kB"."""
    if value is None:
        return NOTHING
    text = count(value)
    return f"{text}B" if text[-1].isalpha() else f"{text} B"


def milliseconds(value: float | None) -> str:
    """Format milliseconds as "0.773 ms"."""
    return NOTHING if value is None else f"{count(value)} ms"


def duration(seconds: float) -> str:
    """Format a time with its largest unit: "0.41 s", "2.5 minutes", "31 hours"."""
    for unit, name in ((86400, "days"), (3600, "hours"), (60, "minutes")):
        if seconds >= 1.95 * unit:
            return f"{seconds / unit:.{int(seconds < 10 * unit)}f} {name}"
    return f"{_three_digits(seconds)} s"


def time_left(seconds: float) -> str:
    """Format an estimate of a time as `duration` does, in whole seconds."""
    return duration(max(1, round(seconds)))


def number(value: float | None) -> str:
    """Format a number with two decimals, "3.25"."""
    return NOTHING if value is None else f"{value:.2f}"


def loss(value: float | None, low: float | None, high: float | None) -> str:
    """Format a loss as "lost 0.21", a loss below 0 as "gained 0.19".

    "none" if its interval contains zero.
    """
    if value is None or low is None or high is None:
        return NOTHING
    if low <= 0 <= high:
        return "none"
    return f"{'lost' if value > 0 else 'gained'} {abs(value):.2f}"


def change(value: float | None, low: float | None, high: float | None) -> str:
    """Format a change with its interval, see `with_interval`; "none" if that contains zero."""
    if value is None or low is None or high is None:
        return NOTHING
    return "none" if low <= 0 <= high else with_interval(value, low, high, "+.1f")


def with_interval(value: float, low: float, high: float, digits: str) -> str:
    """Format a value with half the width of its interval, "4.1 ± 0.8".

    If this would look as if zero was inside an interval that excludes it, its ends are given,
    "0.08 (0.01 to 0.21)".

    Args:
        value: the value.
        low: lower end of its interval.
        high: upper end.
        digits: format of the value, such as ``".1f"`` or ``"+.1f"``.
    """
    half = (high - low) / 2
    if (low > 0 or high < 0) and half >= abs(value):
        return f"{value:{digits}} ({low:{digits}} to {high:{digits}})"
    return f"{value:{digits}} ± {half:{digits.removeprefix('+')}}"


def names(values: Iterable[object] | None) -> str:
    """Format names as "stem, stage1"; "none" for an empty list."""
    return ", ".join(map(str, values or ())) or "none"


def suggest(name: object, known: Iterable[str]) -> str:
    """Suggest the closest known name, "did you mean 'digits'?", or list all known names."""
    known = list(known)
    return did_you_mean(name, known).removeprefix("; ") or f"choose from {', '.join(known)}"


def did_you_mean(name: object, known: Iterable[str]) -> str:
    """Suggest the closest known name, "; did you mean 'digits'?"; empty if none is close."""
    found = difflib.get_close_matches(str(name)[:LONGEST_NAME], list(known), 1)
    return f"; did you mean {found[0]!r}?" if found else ""


def network(row: Mapping[str, Any]) -> str:
    """Describe a row of trials: "depth 8, width 0.5, threshold 0.7, compact (m = 6) of stem"."""
    if row["depth"] is None:
        return "no network"
    parts = [f"depth {row['depth']}", f"width {row['width']:g}"]
    set_ = [name for name in SHAPE if row.get(name) is not None]
    parts += [f"{name.replace('_', ' ')} {_plain(row[name])}" for name in set_]
    parts += [f"{name.replace('_', ' ')} {names(row[name])}" for name in RELEASED if row.get(name)]
    if row["threshold"]:
        parts.append(f"threshold {row['threshold']:g}")
    if row["fusion"] != "none":
        channels = f" (m = {row['fusion_channels']})" if row["fusion_channels"] else ""
        parts.append(f"{row['fusion']}{channels} of {names(row['taps'])}")
    for name, value in row.items():  # searched values of the recipe
        if name.startswith("recipe_") and value is not None:
            parts.append(f"{name.removeprefix('recipe_').replace('_', ' ')} {_plain(value)}")
    return ", ".join(parts)


def _plain(value: object) -> str:
    if isinstance(value, list | tuple):
        return "-".join(map(_plain, value))
    return f"{value:g}" if isinstance(value, float) else str(value)


def _three_digits(value: float) -> str:
    if 0 < abs(value) < 0.9995:
        return f"{value:.3g}"
    digits = 0 if abs(value) >= 99.95 else 1 if abs(value) >= 9.995 else 2
    text = f"{value:.{digits}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
