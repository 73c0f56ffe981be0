"""What share of an image does each threshold of restriction blank?

Restriction keeps a pixel if its attention is above the threshold times the mean attention. The
blanked share depends on the last feature maps, so the same threshold blanks little on one network
and much on another. Prints the share of validation pixels that each threshold blanks, for each
network on the front of a run, or for a network of `ir2search zoo`.

    python analysis/restricted_share.py runs/digits [--data FOLDER]
"""

from __future__ import annotations

import argparse
from pathlib import Path

import pandas as pd
import torch

import ir2search as ir
from ir2search.data import ImageData
from ir2search.information import first_images
from ir2search.models import TappedNetwork
from ir2search.runs.evaluation import network_and_images
from ir2search.runs.layout import CACHE
from ir2search.zoo.shipped import is_shipped

THRESHOLDS = (0.05, 0.15, 0.3, 0.5, 0.7, 0.8, 0.9, 1.0)
IMAGES = 512


@torch.no_grad()
def shares(network: TappedNetwork, data: ImageData) -> dict[float, float]:
    """Share of pixels blanked, by threshold."""
    count = min(IMAGES, len(data.validation))
    images, _ = first_images(data, data.validation, count).whole()
    features = network.eval().forward_features(images)
    return {
        threshold: float((ir.restrict(images, features, threshold) == 0).all(1).float().mean())
        for threshold in THRESHOLDS
    }


def of_run(run: ir.Run, path: Path | None) -> pd.DataFrame:
    """A row for each member of the front, a column for each threshold."""
    data = run.data(path)
    rows = {
        (number, run.candidate(number).threshold): shares(run.network(number), data)
        for number in run.front()["number"]
    }
    table = pd.DataFrame.from_dict(rows, orient="index")
    table.index.names = ["trial", "trained at"]
    return table


def of_shipped(name: str, path: Path | None) -> pd.DataFrame:
    """One row, for a network that ships with the package."""
    network, data = network_and_images(name, path, None, Path("runs") / CACHE)
    assert isinstance(network, TappedNetwork)
    return pd.DataFrame(shares(network, data), index=[name])


def main() -> None:
    """Print the table of a run, or of a network."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run")
    parser.add_argument("--data", type=Path)
    given = parser.parse_args()
    if is_shipped(given.run):
        table = of_shipped(given.run, given.data)
    else:
        table = of_run(ir.Run.open(given.run), given.data)
    print((100 * table).round(1).to_string())


if __name__ == "__main__":
    main()
