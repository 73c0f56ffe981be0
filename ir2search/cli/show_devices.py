"""Show exported files, times, and the findings on this machine."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

from rich.text import Text

from ir2search import text
from ir2search.cli.show import console, print_json, say, table

if TYPE_CHECKING:
    from ir2search.doctor import Check
    from ir2search.export import Exported
    from ir2search.latency import BoardFit, Latency

STATE_COLOURS = {"good": "green", "slow": "yellow", "wrong": "red", "absent": "dim"}


def show_exported(exported: Exported, as_json: bool) -> None:
    """Show an exported file, and how it was checked."""
    if as_json:
        print_json(exported.as_dict())
        return
    say(
        str(exported.file),
        f": {exported.bytes:,} bytes; all {exported.images:,} "
        f"predictions agree with the training graph (logits within "
        f"{exported.largest_difference:.2g})",
    )
    if exported.ram_bytes is not None and exported.flash_bytes is not None:
        ram, flash = text.size(exported.ram_bytes), text.size(exported.flash_bytes)
        say(f"on a microcontroller: RAM {ram}, flash {flash}")
    say("model card: ", str(exported.card))


def show_latency(found: Latency, layers: bool, as_json: bool) -> None:
    """Show the times of a network by runtime, threads and batch."""
    if as_json:
        print_json(found.as_dict())
        return
    columns = ("runtime", "threads", "batch", "median", "quartiles", "per image", "")
    times = table(f"{found.name}: milliseconds per call", columns, words={"runtime", ""})
    for row in found.rows:
        timing = row.timing
        low, median, high = (1000 * each for each in (timing.low, timing.median, timing.high))
        is_fastest = row.runtime in found.fastest(row.threads, row.batch)
        times.add_row(
            row.runtime,
            str(row.threads),
            str(row.batch),
            f"{median:.3f}",
            f"{low:.3f} to {high:.3f}",
            f"{median / row.batch:.3f}",
            "fastest" if is_fastest else "",
        )
    console().print(times)
    if layers:
        _show_layer_times(found)


def show_board(fit: BoardFit, as_json: bool) -> None:
    """Show what operations take on a device, and the section for a study file."""
    if as_json:
        print_json(fit.as_dict())
        return
    share = text.percent
    say(
        f"fitted to {fit.networks} networks; for networks that were left out of the fit, half of "
        f"the errors are below {share(fit.median_error)} and nine in ten below "
        f"{share(fit.high_error)}; Spearman's rho with the measured times is {fit.rank:.2f}, that "
        f"of OPs {fit.rank_of_ops:.2f}"
    )
    say('for a study file with "latency" among its objectives or in its budget:\n')
    print(fit.section)  # noqa: T201 - to be copied


def show_checks(checks: Sequence[Check], as_json: bool) -> None:
    """Show the state of this machine."""
    if as_json:
        print_json([asdict(each) for each in checks])
        return
    columns = ("", "subject", "found", "advice")
    shown = table(None, columns, words=set(columns))
    for each in checks:
        state = Text(each.state, STATE_COLOURS[each.state])
        shown.add_row(state, each.subject, each.found, each.advice)
    console().print(shown)


def _show_layer_times(found: Latency) -> None:
    columns = ("layer", "kind", "threads", "batch", "microseconds")
    times = table("time of each layer on the runtime", columns, words={"layer", "kind"})
    for each in found.layers:
        counts = (str(each.threads), str(each.batch), f"{1e6 * each.seconds:.1f}")
        times.add_row(each.name, each.kind, *counts)
    console().print(times)
