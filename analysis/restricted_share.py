"""How much of an image does restriction blank, by threshold?

Restriction keeps a pixel where its attention is above the threshold times the mean attention. How
much that blanks depends on how uneven the last feature maps are, so the same threshold means
little on one network and much on another. For every network on a run's front, this measures the
share of validation pixels that each threshold would blank.

    python analysis/restricted_share.py runs/digits [--data FOLDER]
"""

from __future__ import annotations

import argparse
from pathlib import Path

import pandas as pd
import torch

import ir2search as ir
from ir2search.space import read_candidate

THRESHOLDS = (0.05, 0.15, 0.3, 0.5, 0.7, 0.8, 0.9, 1.0)
IMAGES = 512


def restricted_shares(run: Path, data: Path | None) -> pd.DataFrame:
    """Share of pixels blanked, a row for a front member, a column for a threshold."""
    source = ir.run_data(run, data)
    count = min(IMAGES, len(source.validation))
    images = source.normalise(source.validation.take(torch.arange(count))[0])
    rows = {}
    for number in ir.front(run)["number"]:
        trial = run / "trials" / str(number)
        candidate = read_candidate(trial / "candidate.json")
        network = ir.load_network(candidate, trial / "best.safetensors")
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
    shares = restricted_shares(arguments.run, arguments.data)
    print((100 * shares).round(1).to_string())


if __name__ == "__main__":
    main()
