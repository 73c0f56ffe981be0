"""Do OPs predict run time?

Papers compare networks by OPs = FLOPs + BOPs / 64. This recipe times networks of CIFAR's size on
the runtime, one image on one thread, and compares the times with OPs: over all networks, by kind of
layer, and for the networks where OPs fail most. The networks are random ResNets and VGGs of many
depths, widths, taps and fusions, or the trained networks of a run.

It then fits corrected costs to the times, by least squares on the relative error: FLOPs + BOPs / k,
a constant for each sweep over feature maps, and the elementwise operations, which OPs leave out.
Errors and ranks of a corrected cost are for networks that it was not fitted to (ten folds).
Intervals are 95% bootstrap intervals over networks. --out also writes a table of all values and a
figure.

    python analysis/operations_and_time.py [RUN] [--networks 80] [--out FOLDER]
"""

from __future__ import annotations

import argparse
import itertools
import random
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from scipy import stats

import ir2search as ir
from ir2search.export import candidate_graph
from ir2search.latency import time_on_runtime
from ir2search.latency.board import COUNTED, fit_prices, held_out_times, operation_counts
from ir2search.models.families import FAMILIES
from ir2search.plots import save
from ir2search.runtime import Graph, PackedNetwork, this_machine
from ir2search.runtime.times import architecture

DRAWN = {  # by family: depths, widths, and number of networks in ten
    "cifar-resnet": ((8, 14, 20, 32, 44), (0.5, 1.0, 1.5, 2.0, 3.0, 4.0), 6),
    "cifar-basic-resnet": ((18, 34), (0.125, 0.25, 0.5, 1.0), 2),
    "cifar-vgg": ((7,), (0.125, 0.25, 0.375, 0.5, 0.75, 1.0), 2),
}
RESAMPLES = 1000
CALLS = 50  # the time of a sweep is the median of 50 calls
COSTS = {  # by name: the counts in a corrected cost; OPs are not fitted
    "FLOPs + BOPs / 64": (),
    "FLOPs + BOPs / k": ("flops", "bops"),
    "the same + sweeps": ("flops", "bops", "sweeps"),
    "the same + elements": COUNTED,
}
OPS, *_, CORRECTED = COSTS


def random_candidates(count: int) -> Iterator[ir.Candidate]:
    """Random networks of different architecture; the same ones in each call."""
    generator, found = random.Random(0), set()
    names = [name for name, (*_, share) in DRAWN.items() for _ in range(share)]
    for name in itertools.islice(itertools.cycle(names), 20 * count):
        depths, widths, _ = DRAWN[name]
        candidate = ir.Candidate(
            backbone=name,
            depth=generator.choice(depths),
            width=generator.choice(widths),
            taps=tuple(tap for tap in FAMILIES[name].taps if generator.random() < 0.5),
            fusion=generator.choice(("none", "dense", "compact")),
            fusion_ratio=generator.choice((2, 4, 8, 20)),
            activation=generator.choice(("hardtanh", "prelu", "rprelu")),
        )
        digest = architecture(candidate_graph(candidate))
        if digest not in found:
            found.add(digest)
            yield candidate
        if len(found) == count:
            return


def trained_candidates(run: ir.Run) -> Iterator[ir.Candidate]:
    """The networks that a run trained."""
    table = run.trials()
    for number in table[table["state"] == "trained"]["number"]:
        yield run.candidate(number)


def measure(candidates: Iterable[ir.Candidate], cache: Path) -> tuple[pd.DataFrame, pd.DataFrame]:
    """A row for each network, and a row for each of its sweeps, with times on this machine."""
    networks, sweeps = [], []
    for candidate in candidates:
        graph, price = candidate_graph(candidate), ir.cost(candidate)
        found = time_on_runtime(graph, cache=cache)
        timing = found.per_image
        own = sweep_times(graph, {row.name: row.flops + row.bops / 64 for row in price.rows})
        own["ms"] *= 1000 * timing.median / own["ms"].sum()  # the sweeps add up to the timing
        sweeps.append(own)
        networks.append(
            {
                "network": candidate.id,
                "family": candidate.backbone,
                "depth": candidate.depth,
                "width": candidate.width,
                "taps": " ".join(candidate.taps),
                "fusion": candidate.fusion,
                "activation": candidate.activation,
                "ops": price.ops,
                **operation_counts(candidate),
                "ms": 1000 * timing.median,
                "low_ms": 1000 * timing.low,
                "high_ms": 1000 * timing.high,
                "pace": found.pace,
            }
            | {f"{kind}_ms": part for kind, part in own.groupby("kind")["ms"].sum().items()}
        )
    return pd.DataFrame(networks), pd.concat(sweeps, ignore_index=True)


def sweep_times(graph: Graph, ops: dict[str, float]) -> pd.DataFrame:
    """Kind, OPs and milliseconds of each sweep of a network over its feature maps."""
    network = PackedNetwork(graph)
    images = np.random.default_rng(0).standard_normal((1, *network.image), dtype=np.float32)
    times = np.median([network.seconds_by_unit(images) for _ in range(CALLS)], axis=0)
    return pd.DataFrame(
        {"kind": unit.kind, "ops": ops.get(unit.name, 0.0) if unit.head else 0.0, "ms": seconds}
        for unit, seconds in zip(network.units, times, strict=True)
    )


def predict(table: pd.DataFrame, names: Sequence[str]) -> np.ndarray:
    """Predicted milliseconds of each network, by a fit to other networks."""
    return held_out_times(table[list(names or ["ops"])].to_numpy(float), table["ms"].to_numpy())


def spearman(one: np.ndarray, other: np.ndarray) -> float:
    """Spearman's rho."""
    return float(stats.spearmanr(one, other).statistic)


def tau(one: np.ndarray, other: np.ndarray) -> float:
    """Kendall's tau-b."""
    return float(stats.kendalltau(one, other).statistic)


def interval(statistic: Callable[..., Any], *columns: np.ndarray) -> np.ndarray:
    """A statistic of columns, and its bootstrap interval over rows, (3,) or (3, values)."""
    generator = np.random.default_rng(0)
    draws = generator.integers(0, len(columns[0]), (RESAMPLES, len(columns[0])))
    spread = [statistic(*(column[draw] for column in columns)) for draw in draws]
    return np.array([statistic(*columns), *np.nanquantile(spread, [0.025, 0.975], axis=0)])


def misordered_share(cost: np.ndarray, table: pd.DataFrame) -> float:
    """Share of pairs with non-overlapping quartiles in which the cheaper network takes longer."""
    low, high, ms = (table[name].to_numpy() for name in ("low_ms", "high_ms", "ms"))
    faster = (high[:, None] < low) & (ms[:, None] < ms)
    return float((faster & (cost[:, None] > cost)).sum() / max(1, faster.sum()))


def answer(table: pd.DataFrame) -> pd.DataFrame:
    """How well each cost ranks networks that it was not fitted to, and its errors."""
    rows, time = [], table["ms"].to_numpy()
    for name, names in COSTS.items():
        cost = predict(table, names)
        ranking = table["ops"].to_numpy() if not names else cost
        row = {"cost": name}
        for title, statistic in (("Spearman", spearman), ("Kendall", tau)):
            row[title], low, high = interval(statistic, ranking, time)
            row[f"{title} 95%"] = f"{low:.3f} to {high:.3f}"
        row["pairs misordered"] = f"{100 * misordered_share(ranking, table):.1f}%"
        errors = np.abs(cost / time - 1)
        row["median error"] = f"{100 * np.median(errors):.0f}%"
        row["nine in ten within"] = f"{100 * np.quantile(errors, 0.9):.0f}%"
        rows.append(row)
    return pd.DataFrame(rows)


def coefficients(table: pd.DataFrame) -> pd.DataFrame:
    """The coefficients of each fitted cost and k, with intervals over networks."""

    def fit(counts: np.ndarray, time: np.ndarray) -> np.ndarray:
        flop, bop, *_ = each = fit_prices(counts, time)
        return np.array([flop / bop if bop else np.nan, *(1e6 * each)])

    found = []
    for name, names in COSTS.items():
        if names:
            values = interval(fit, table[list(names)].to_numpy(float), table["ms"].to_numpy())
            titles = "k", *(f"ns a {each.rstrip('s')}" for each in names)
            shown = (f"{value:.3g} ({low:.3g} to {high:.3g})" for value, low, high in values.T)
            found.append({"cost": name, **dict(zip(titles, shown, strict=True))})
    return pd.DataFrame(found).fillna("")


def by_kind(sweeps: pd.DataFrame) -> pd.DataFrame:
    """By kind of sweep: shares of the time and of the OPs, and how well OPs rank the times."""
    rows = []
    for kind, own in sweeps.groupby("kind"):
        row = {"kind": kind, "sweeps": len(own)}
        row["time"] = f"{100 * own['ms'].sum() / sweeps['ms'].sum():.1f}%"
        row["OPs"] = f"{100 * own['ops'].sum() / sweeps['ops'].sum():.1f}%"
        row["median us"] = round(1000 * own["ms"].median(), 2)
        counted = own[own["ops"] > 0]
        if counted["ops"].nunique() > 2:
            value, low, high = interval(spearman, *counted[["ops", "ms"]].to_numpy().T)
            row["Spearman"] = f"{value:.2f} ({low:.2f} to {high:.2f})"
            pace = 1e6 * counted["ms"] / counted["ops"]
            low, middle, high = pace.quantile([0.1, 0.5, 0.9])
            row["ns an OP (10% to 90%)"] = f"{middle:.3g} ({low:.3g} to {high:.3g})"
        rows.append(row)
    return pd.DataFrame(rows).fillna("-")


def failures(table: pd.DataFrame, cost: np.ndarray) -> pd.DataFrame:
    """The networks with the largest and smallest ratio of time to cost."""
    ratios = table["ms"].to_numpy() / cost
    order = np.argsort(ratios)
    named = ["family", "depth", "width", "fusion", "activation", "ms"]
    chosen = dict.fromkeys([*order[::-1][:4], *order[:4][::-1]])
    shown = table.iloc[list(chosen)][named].assign(expected=cost[list(chosen)])
    return shown.assign(times=ratios[list(chosen)]).round(3)


def draw(table: pd.DataFrame) -> Figure:
    """Time against OPs and against the corrected cost, a colour for each family."""
    result = Figure(figsize=(7.0, 3.2))
    left, right = result.subplots(1, 2, sharey=True)
    for colour, (family, own) in enumerate(table.groupby("family")):
        errors = [own["ms"] - own["low_ms"], own["high_ms"] - own["ms"]]
        for axis, column in ((left, "ops"), (right, "expected_ms")):
            axis.errorbar(
                own[column], own["ms"], yerr=errors, fmt="o", ms=3.5, lw=0.8,
                color=f"C{colour}", label=family,
            )  # fmt: skip
    ends = [table[["ms", "expected_ms"]].min().min(), table[["ms", "expected_ms"]].max().max()]
    right.plot(ends, ends, color="0.5", lw=0.8, zorder=0)
    for axis, label in ((left, "OPs"), (right, "corrected cost, held out (ms)")):
        axis.set(xscale="log", yscale="log", xlabel=label)
    left.set_ylabel("time of an image, one thread (ms)")
    left.legend(fontsize=8)
    return result


def main() -> None:
    """Print the answers and write them."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", type=Path, nargs="?")
    parser.add_argument("--networks", type=int, default=80)
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    candidates = (
        trained_candidates(ir.Run.open(given.run))
        if given.run
        else random_candidates(given.networks)
    )
    with TemporaryDirectory() as cache:
        table, sweeps = measure(candidates, Path(cache))
    parts = [name for name in table.columns if name.endswith("_ms")]
    table[parts] = table[parts].fillna(0.0)
    table["expected_ms"] = predict(table, COSTS[CORRECTED])
    noise = ((table["high_ms"] - table["low_ms"]) / table["ms"]).median()
    print(
        f"{len(table)} networks, {len(sweeps)} sweeps, on {this_machine().cpu}; "
        f"the quartiles of a time differ by {100 * noise:.1f}% of its median (median over "
        f"networks); the reference network took {table['pace'].min():.2f} to "
        f"{table['pace'].max():.2f} times its first time"
    )
    shown = {
        "how well each cost predicts the time": answer(table),
        "coefficients of the corrected costs": coefficients(table),
        "by kind of sweep": by_kind(sweeps),
        "where OPs fail (column times: measured time over the expected time)": failures(
            table, predict(table, ())
        ),
        "where the corrected cost fails": failures(table, table["expected_ms"].to_numpy()),
    }
    for title, rows in shown.items():
        print(f"\n{title}\n{rows.round(3).to_string(index=False)}")
    if given.out:
        given.out.mkdir(parents=True, exist_ok=True)
        table.to_csv(given.out / "operations_and_time.csv", index=False)
        save(partial(draw, table), given.out / "operations_and_time")


if __name__ == "__main__":
    main()
