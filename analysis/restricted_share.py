"""What share of an image does each threshold of restriction blank?

Restriction keeps a pixel if its attention is above the threshold times the mean attention. The
blanked share depends on the last feature maps, so the same threshold blanks little on one network
and much on another. Prints for each network on the front of a run: the share of validation pixels
that each threshold blanks.

    python analysis/restricted_share.py runs/digits [--data FOLDER]
"""

from __future__ import annotations

import argparse
from pathlib import Path

import pandas as pd
import torch

import ir2search as ir
from ir2search.information import first_images

THRESHOLDS = (0.05, 0.15, 0.3, 0.5, 0.7, 0.8, 0.9, 1.0)
IMAGES = 512


def restricted_shares(run: ir.Run, data: Path | None) -> pd.DataFrame:
    """Share of pixels blanked: a row for each member of the front, a column for each threshold."""
    source = run.data(data)
    images, _ = first_images(source, source.validation, IMAGES).whole()
    rows = {}
    for number in run.front()["number"]:
        candidate, network = run.candidate(number), run.network(number)
        with torch.no_grad():
            features = network.forward_features(images)
        rows[number, candidate.threshold] = {
            threshold: float((ir.restrict(images, features, threshold) == 0).all(1).float().mean())
            for threshold in THRESHOLDS
        }
    table = pd.DataFrame.from_dict(rows, orient="index")
    table.index.names = ["trial", "trained at"]
    return table


def main() -> None:
    """Print the table of a run."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", type=Path)
    parser.add_argument("--data", type=Path)
    arguments = parser.parse_args()
    shares = restricted_shares(ir.Run.open(arguments.run), arguments.data)
    print((100 * shares).round(1).to_string())


if __name__ == "__main__":
    main()
