"""Draw the figures of the documentation with the package itself.

    python docs/draw.py runs/digits

writes docs/figures/. The figure of restriction uses the run's most accurate network.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import matplotlib as mpl
import matplotlib.style
import numpy as np
import pandas as pd
import torch
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter, PercentFormatter

import ir2search as ir
from ir2search.choices import Estimator
from ir2search.nn.estimators import ESTIMATORS
from ir2search.plots import STYLE
from ir2search.plots.style import BLUE, GREY, ORANGE, WHITE
from ir2search.search.pruners.base import Promotion
from ir2search.search.pruners.halving import SuccessiveHalving
from ir2search.search.pruners.progress import Progress
from ir2search.space import read_candidate
from ir2search.study.sections import Rungs

FOLDER = Path(__file__).with_name("figures")
TRUTH = Path(__file__).parents[1] / "tests" / "benchmarks" / "truth.parquet"
THRESHOLDS = (0.15, 0.9, 1.0)
DIGITS = 8


def surrogate_figure() -> Figure:
    """The sign, and the surrogate gradients that replace its own in the backward pass."""
    figure = Figure(figsize=(7, 2.6))
    forward, backward = figure.subplots(1, 2)
    x = torch.linspace(-1.6, 1.6, 1281)
    forward.plot(x, signs(x, "polynomial")[0], color="black")
    forward.set(title="forward: one bit", xlabel="x", ylabel="q(x)", yticks=(-1, 1))
    backward.plot(x, signs(x, "polynomial")[1], label="activations: polynomial")
    backward.plot(x, signs(x, "straight-through")[1], label="weights: straight-through")
    backward.set(title="backward: surrogate gradients", xlabel="x", ylabel="dq/dx")
    backward.legend(loc="upper right", fontsize=8)
    backward.set_ylim(-0.1, 2.6)
    return figure


def signs(x: torch.Tensor, estimator: Estimator) -> tuple[torch.Tensor, torch.Tensor]:
    """Values (n,) and surrogate gradients (n,) of the sign at points (n,)."""
    x = x.clone().requires_grad_()
    values = ESTIMATORS[estimator](x, 1.0)
    values.sum().backward()
    assert x.grad is not None
    return values.detach(), x.grad


def restriction_figure(run: Path) -> Figure:
    """Digits, a network's attention on them, and the images restricted at several thresholds."""
    images, attention, restricted = attended(run)
    rows = {"image": images, "attention": attention}
    rows |= {f"λ = {threshold}": left for threshold, left in restricted.items()}
    figure = Figure(figsize=(7, 0.95 * len(rows)))
    axes = figure.subplots(len(rows), DIGITS)
    for line, (name, pictures) in zip(axes, rows.items(), strict=True):
        for axis, picture in zip(line, pictures, strict=True):
            limits = {} if name == "attention" else {"vmin": images.min(), "vmax": images.max()}
            axis.imshow(picture, cmap="viridis" if name == "attention" else "gray", **limits)
            axis.set(xticks=(), yticks=())
            axis.grid(visible=False)
        line[0].set_ylabel(name, rotation=0, ha="right", va="center")
    return figure


def attended(run: Path) -> tuple[np.ndarray, np.ndarray, dict[float, np.ndarray]]:
    """Validation images (n, H, W), attention maps (n, h, w), restricted images by threshold.

    A restricted pixel has the value of the data's mean, which is 0 after normalisation.
    """
    front = ir.front(run)
    trial = run / "trials" / str(front.loc[front["accuracy"].idxmax(), "number"])
    network = ir.load_network(read_candidate(trial / "candidate.json"), trial / "best.safetensors")
    data = ir.run_data(run)
    _, first = np.unique(data.validation.labels.numpy(), return_index=True)
    images = data.normalise(data.validation.take(torch.from_numpy(first[:DIGITS]))[0])
    with torch.no_grad():
        features = network.forward_features(images)
    restricted = {
        threshold: ir.restrict(images, features, threshold)[:, 0].numpy()
        for threshold in THRESHOLDS
    }
    return images[:, 0].numpy(), ir.attention_map(features).numpy(), restricted


def recovery_figure() -> Figure:
    """Operations of the paper's ResNet-20 by fusion and fusion ratio."""
    figure = Figure(figsize=(4.6, 2.8))
    axis = figure.subplots()
    base = ir.preset("cifar-resnet20")
    ratios = np.arange(2, 17)
    ops = [ir.cost(replace(base, fusion_ratio=float(s), fusion_channels=None)).ops for s in ratios]
    axis.plot(ratios, ops, marker="o", markersize=3, label="compact")
    for fusion, style in (("dense", "--"), ("none", ":")):
        level = ir.cost(replace(base, fusion=fusion)).ops
        axis.axhline(level, color="black", linestyle=style, label=fusion)
    axis.set(xlabel="fusion ratio s", ylabel="OPs of ResNet-20", ylim=(0.9e6, 1.75e6))
    axis.yaxis.set_major_formatter(EngFormatter(sep=" "))
    axis.legend(ncols=3, loc="upper right", fontsize=8, bbox_to_anchor=(1, 0.8))
    return figure


BOXES = {  # of the CIFAR ResNet-20: text, colour
    "stem\n16 x 32 x 32": GREY,
    "stage 1\n16 x 32 x 32": BLUE,
    "stage 2\n32 x 16 x 16": BLUE,
    "stage 3\n64 x 8 x 8": BLUE,
    "fusion\n128 to 64": ORANGE,
    "classes": GREY,
}


def network_figure() -> Figure:
    """The taps of a network and the place where they are fused."""
    figure = Figure(figsize=(7, 2.2))
    axis = figure.subplots()
    axis.set(xlim=(-0.45, 5.5), ylim=(-0.35, 1.15))
    axis.axis("off")
    for place, (name, color) in enumerate(BOXES.items()):
        box = {"boxstyle": "round,pad=0.5", "facecolor": WHITE, "edgecolor": color}
        axis.text(place, 0, name, ha="center", va="center", fontsize=8, bbox=box)
    arrow = {"arrowstyle": "->", "color": GREY}
    for place in range(len(BOXES) - 1):
        axis.annotate("", (place + 0.6, 0), (place + 0.41, 0), arrowprops=arrow)
    for place, height in ((0, 0.9), (1, 0.72), (2, 0.54)):  # the taps, each pooled to 8 x 8
        axis.plot([place, place, 3.88 + place / 10], [0.24, height, height], color=ORANGE)
        axis.annotate(
            "", (3.88 + place / 10, 0.24), (3.88 + place / 10, height + 0.01),
            arrowprops=arrow | {"color": ORANGE},
        )  # fmt: skip
    axis.text(2.1, 0.96, "taps, each pooled to 8 x 8", color=ORANGE, fontsize=8)
    return figure


KINDS = ("binary convolutions / 64", "first layer", "shortcuts", "recovery", "last layer")


def costs_figure() -> Figure:
    """The share of each kind of layer in the operations of the paper's networks."""
    figure = Figure(figsize=(7, 2.4))
    axis = figure.subplots()
    names = ("cifar-resnet20", "cifar-resnet18", "imagenet-resnet18-A", "imagenet-resnet18-D")
    shares = pd.DataFrame({name: operations_by_kind(name) for name in names}).T[list(KINDS)]
    shares = shares.fillna(0.0).div(shares.sum(axis=1), axis=0)
    left = shares.cumsum(axis=1) - shares
    for kind in KINDS:
        axis.barh(shares.index, shares[kind], left=left[kind], label=kind)
    axis.invert_yaxis()
    axis.xaxis.set_major_formatter(PercentFormatter(1.0))
    axis.set_xlabel("share of OPs")
    figure.legend(loc="outside upper center", ncols=3, fontsize=8)
    return figure


def operations_by_kind(name: str) -> pd.Series:
    """OPs of a preset by kind of layer."""
    parts = {"stem": "first layer", "recovery": "recovery", "head": "last layer"}
    layers = ir.cost(ir.preset(name)).layers
    kind = layers["name"].str.split(".").str[0].map(parts).fillna("shortcuts")
    kind = kind.where(layers["bops"] == 0, KINDS[0])
    return (layers["flops"] + layers["bops"] / 64).groupby(kind).sum()


def rungs_figure() -> Figure:
    """Recorded learning curves, and the rung up to which successive halving trains each."""
    truth = pd.read_parquet(TRUTH)
    truth = truth[truth["seed"] == 0]
    chosen = truth["candidate_id"].drop_duplicates().sample(27, random_state=1)
    curves = [truth[truth["candidate_id"] == name].set_index("epoch") for name in chosen]
    levels = Rungs(minimum=1, factor=3).levels(27)
    reached = epochs_trained(curves, levels)
    figure = Figure(figsize=(7, 3.2))
    axis = figure.subplots()
    for curve, end in zip(curves, reached, strict=True):
        accuracy = curve["validation_accuracy"]
        color = "C0" if end == levels[-1] else "C1"
        axis.plot(accuracy.loc[end:], color="0.85", linewidth=0.7)
        axis.plot(accuracy.loc[:end], color=color, linewidth=1.0, zorder=3)
        axis.plot(end, accuracy.loc[end], "o", color=color, markersize=3, zorder=3)
    axis.set_xscale("log")
    axis.set_xticks(levels, [str(level) for level in levels])
    axis.minorticks_off()
    axis.yaxis.set_major_formatter(PercentFormatter(1.0))
    axis.set(xlabel="epochs (rungs)", ylabel="validation accuracy")
    whole = len(curves) * levels[-1]
    axis.set_title(f"{sum(reached)} epochs instead of {whole}; grey: not trained", fontsize=9)
    return figure


def epochs_trained(curves: list[pd.DataFrame], levels: tuple[int, ...]) -> list[int]:
    """Epochs for which each network is trained by one worker.

    A network that may continue goes before a new one.
    """
    progress = Progress(levels)
    pruner = SuccessiveHalving(progress, factor=3)
    reached = [0] * len(curves)
    waiting = iter(range(len(curves)))
    while True:
        promotion = pruner.next()
        if promotion is None:
            fresh = next(waiting, None)
            if fresh is None:
                return reached
            promotion = Promotion(fresh, 0)
        number, level = promotion
        seen = curves[number].loc[: levels[level]]
        best = seen["validation_accuracy"].max()
        progress.record(number, level, (-best, seen["ops"].iloc[0]))
        reached[number] = levels[level]


def save(draw: Callable[[], Figure], name: str) -> None:
    """Draw in the package's style and write the file."""
    with mpl.rc_context(), matplotlib.style.context(str(STYLE)):
        metadata = {"Date": None} if name.endswith(".svg") else None
        draw().savefig(FOLDER / name, metadata=metadata, dpi=150)


def main() -> None:
    """Draw all figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", type=Path, help="a finished run of the study digits")
    run = parser.parse_args().run
    FOLDER.mkdir(exist_ok=True)
    save(surrogate_figure, "surrogate.svg")
    save(network_figure, "network.svg")
    save(recovery_figure, "recovery.svg")
    save(costs_figure, "costs.svg")
    save(rungs_figure, "rungs.svg")
    save(lambda: restriction_figure(run), "restriction.png")


if __name__ == "__main__":
    main()
