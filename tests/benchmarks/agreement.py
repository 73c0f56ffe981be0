"""Do the training kernels and torch's own operations give the same accuracy?

Trains the same network from the same seeds with both, on the included digits and, with --data, on a
part of CIFAR-10, and prints the best validation accuracies and their means. The weights of the two
differ after a few steps: one sign of a value near 0 that rounds differently is enough.

    python tests/benchmarks/agreement.py [--data CIFAR10]
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from unittest import mock

import torch
from scipy.stats import ttest_ind

import ir2search as ir
from ir2search.data import DataConfig, ImageData, Split

DIGITS = ir.Recipe(
    epochs=20, batch_size=64, optimizer="adamw", lr=0.02, warmup_epochs=1.0, crop_padding=2,
    flip=False,
)  # fmt: skip
CIFAR10 = ir.Recipe(epochs=3)
CIFAR10_IMAGES = 10_000


def compare(
    name: str, candidate: ir.Candidate, recipe: ir.Recipe, data: ImageData, seeds: int
) -> None:
    """Print the accuracies of both implementations by seed."""
    found: dict[str, list[float]] = {"kernels": [], "torch": []}
    spent = dict.fromkeys(found, 0.0)
    for seed in range(seeds):
        for implementation, accuracies in found.items():
            start = time.perf_counter()
            with tempfile.TemporaryDirectory() as folder, use(implementation):
                result = ir.train(
                    candidate, recipe, data, Path(folder), seed=seed, device=torch.device("cpu")
                )
            spent[implementation] += time.perf_counter() - start
            accuracies.append(result.best.validation_accuracy)
    print(f"{name}, {recipe.epochs} epochs, {seeds} seeds")
    for implementation, accuracies in found.items():
        shown = " ".join(f"{100 * accuracy:.2f}" for accuracy in accuracies)
        mean, spread = statistics.mean(accuracies), statistics.stdev(accuracies)
        seconds = f"{spent[implementation] / seeds:.0f} s a training"
        print(
            f"  {implementation:8} {shown}  mean {100 * mean:.2f} +- {100 * spread:.2f}, {seconds}"
        )
    p = ttest_ind(*found.values(), equal_var=False).pvalue
    print(f"  Welch's t-test of the means: p = {p:.2f}", flush=True)


def use(name: str) -> mock._patch:  # type: ignore[type-arg]
    """A context in which training uses the kernels or torch's operations."""
    from ir2search.nn import fused

    kernels = fused.library() if name == "kernels" else None
    return mock.patch.object(fused, "library", return_value=kernels)


def main() -> None:
    """Compare on the digits, and on CIFAR-10 if it is given."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as cache:
        digits = ir.load_data(DataConfig(size=16, validation=0.2), None, Path(cache), 0)
        candidate = ir.Candidate(depth=14, width=0.5, threshold=0.9, image=(1, 16, 16))
        compare("digits, depth 14, width 0.5, threshold 0.9", candidate, DIGITS, digits, 5)
        if arguments.data:
            data = ir.load_data(DataConfig(source="folder"), arguments.data, Path(cache), 0)
            part = data.train.take(torch.arange(CIFAR10_IMAGES))
            name = f"CIFAR-10, {CIFAR10_IMAGES} images, ResNet-20, threshold 0.15"
            compare(name, ir.Candidate(), CIFAR10, replace(data, train=Split(*part)), 3)


if __name__ == "__main__":
    main()
