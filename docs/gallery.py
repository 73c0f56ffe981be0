"""Draw the figures of the gallery from the published reports.

    python docs/gallery.py

writes docs/figures/gallery/. The page shows the line that draws the same figure of a run.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import matplotlib as mpl
import matplotlib.style
import numpy as np
import pandas as pd
from matplotlib import pyplot as plt

import ir2search as ir
from ir2search.measures import (
    attribution_flow,
    channel_entropies,
    completeness_gaps,
    faithfulness_curves,
    layers_table,
    picture_grid,
)
from ir2search.runs.tables import front_of

FOLDER = Path(__file__).with_name("figures") / "gallery"
REPORTS = Path(__file__).parents[1] / "reports"


def search_figures() -> Mapping[str, Callable[[], Any]]:
    """Figures of the search of the study `digits`, by name."""
    report = REPORTS / "digits"
    study = ir.load_study(str(report / "study.toml"))
    trials = pd.read_parquet(report / "trials.parquet")
    front = pd.read_parquet(report / "front.parquet")
    early = front_of(trials.iloc[: len(trials) // 3], study)
    return {
        "front": lambda: ir.plots.front(front, trials),
        "compare": lambda: ir.plots.fronts({"a third of the trials": early, "all": front}),
        "hypervolume": lambda: ir.plots.hypervolume(trials),
    }


def network_figures() -> Mapping[str, Callable[[], Any]]:
    """Figures of the analysis of a network of that search, by name."""
    table = pd.read_parquet(REPORTS / "digits" / "information" / "information.parquet")
    layers = layers_table(table)
    return {
        "information": lambda: ir.plots.information(layers),
        "information_loss": lambda: ir.plots.information_loss(layers),
        "channels": lambda: ir.plots.channels(channel_entropies(table)),
        "signs": lambda: ir.plots.signs(layers),
        "flow": lambda: ir.plots.flow(attribution_flow(table)),
        "faithfulness": lambda: ir.plots.faithfulness(faithfulness_curves(table)),
        "completeness": lambda: ir.plots.completeness(completeness_gaps(table)),
        "attention": lambda: ir.plots.attention(picture_grid(table)),
    }


def main() -> None:
    """Draw all figures."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    plt.switch_backend("agg")
    for name, draw in {**search_figures(), **network_figures()}.items():
        with mpl.rc_context(), matplotlib.style.context(str(ir.plots.STYLE)):
            ax = np.ravel(draw())[0]
            ax.figure.savefig(FOLDER / f"{name}.svg", metadata={"Date": None})
            plt.close("all")


if __name__ == "__main__":
    main()
