"""Does one training of shared weights find the front of the table?

A supernet of truth.toml is trained, all networks of the space are measured with their part of its
weights, and the front of these accuracies is fine-tuned. The result is compared with the true front
in truth.parquet, whose networks were trained by themselves, each from three seeds.

**Measure.** The hypervolume of search.py, as a share of that of the true front, in two ways: by the
table's accuracies of the networks that were chosen (were they chosen well?), and by the accuracies
that the chosen networks have at the end (were they trained well?). Shares are medians over the 30
draws of search.py, then means over the seeds of the supernet.

**Price.** Processor seconds of everything (training of the supernet, calibration and evaluation of
all networks, fine-tuning) over those of one epoch of the table's mean network, both on one thread.
A sample of the table is timed.

**Choice.** The front by inherited accuracy. With a margin, networks that are dominated by less than
this number of standard errors of an accuracy are chosen too; all of them are fine-tuned and paid
for. Networks that differ in the threshold of the restriction alone are the same network here; the
table's accuracy is that of the first threshold.

The thresholds and the noise of a training limit the first share: the table prints it for all
networks, and for the front by one seed of training alone.

**Ranking.** Kendall's tau-b between inherited accuracy and the table's, mean over its seeds, and
between two seeds of the table: over all networks, and as the mean over groups of `GROUP` networks
with about equal operations.

**Crops.** --crop gives the supernet other crops than the table's recipe has. With --alone, all
networks are trained alone with these crops, too: their front's share says what the crops alone do.

Each step is kept in a folder, so that an interrupted command can continue.

    python tests/benchmarks/supernet.py [--epochs 20 45 90] [--seeds 3] [--runs runs/bench-supernet]
"""

from __future__ import annotations

import argparse
import itertools
import json
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import cache
from pathlib import Path
from random import Random
from typing import Any

import moocore
import numpy as np
import pandas as pd
import torch
from curve_table import drawn, truth
from rich.console import Console
from rich.table import Table
from warm_start import tau

import ir2search as ir
from ir2search.data import ImageData, load_data
from ir2search.files import read_json, write_json
from ir2search.seeds import training_seed
from ir2search.space import Candidate, candidate_from_dict
from ir2search.supernet import (
    SupernetSettings,
    calibrated_subnet,
    calibration_batches,
    load_supernet,
    train_supernet,
)
from ir2search.training import EpochResult, Recipe, accuracy

STUDY = ir.load_study(Path(__file__).with_name("truth.toml"))
CPU = torch.device("cpu")
REPLICATES = 30  # draws of the true front
SAMPLE, SAMPLE_EPOCHS = 12, 3  # networks and epochs that give the price of an epoch
GROUP = 12  # networks with about equal operations
MARGINS = (0.0, 0.5)  # standard errors of an accuracy


@dataclass(frozen=True)
class Setting:
    """How a supernet is trained, evaluated and fine-tuned.

    Attributes:
        epochs: of its training.
        random: networks drawn at random in each step.
        lr: highest learning rate.
        calibration: training images for the BatchNorms of a network.
        finetune: epochs of fine-tuning; 0 for none.
        finetune_lr: highest learning rate of the fine-tuning.
        crop: pixels of padding before the random crop; 0 for no crops.
    """

    epochs: int
    random: int = 2
    lr: float = STUDY.recipe.lr
    calibration: int = 1024
    finetune: int = 0
    finetune_lr: float = STUDY.recipe.lr
    crop: int = STUDY.recipe.crop_padding

    @property
    def supernet(self) -> str:
        """Name of the folder of the supernet's training."""
        return f"{self.epochs}-epochs-{self.random}-random-lr-{self.lr:g}-crop-{self.crop}"

    @property
    def recipe(self) -> Recipe:
        """Recipe of the supernet's training."""
        return replace(STUDY.recipe, epochs=self.epochs, lr=self.lr, crop_padding=self.crop)


class Clock:
    """Processor seconds since it was made."""

    def __init__(self) -> None:
        self._start = time.process_time()

    @property
    def seconds(self) -> float:
        return time.process_time() - self._start


@cache
def networks() -> dict[str, Candidate]:
    """The networks of the table by id; of those that differ in the threshold alone, the first."""
    known = truth().groupby("candidate_id")["candidate"].first()
    candidates = [candidate_from_dict(json.loads(text)) for text in known]
    first = min(candidate.threshold for candidate in candidates)
    return {each.id: each for each in candidates if each.threshold == first}


def epoch_price(data: ImageData, runs: Path) -> float:
    """Processor seconds of one epoch of the table's mean network, with validation.

    A sample is timed without the first epoch, which also prepares the training. The table's own
    seconds, of another machine, say how the sample compares with the mean.
    """
    file = runs / "epoch.json"
    if not file.exists():
        seconds = truth().groupby("candidate")["seconds"].mean()
        sample = Random(0).sample(sorted(seconds.index), SAMPLE)
        spent = sum(_epoch_seconds(candidate_from_dict(json.loads(each)), data) for each in sample)
        write_json(file, {"seconds": spent / seconds[sample].sum() * seconds.mean()})
    return float(read_json(file)["seconds"])


def _epoch_seconds(candidate: Candidate, data: ImageData) -> float:
    """Processor seconds of an epoch of a network after the first."""
    return epoch_seconds(candidate, replace(STUDY.recipe, epochs=SAMPLE_EPOCHS), data)


def epoch_seconds(candidate: Candidate, recipe: Recipe, data: ImageData) -> float:
    """Processor seconds of an epoch of a network, mean over a recipe's epochs after the first."""
    times: list[float] = []

    def note(_: EpochResult) -> None:
        times.append(time.process_time())

    with tempfile.TemporaryDirectory() as own:
        ir.train(candidate, recipe, data, Path(own), seed=0, device=CPU, on_epoch=note)
    return (times[-1] - times[0]) / (len(times) - 1)


def trained(setting: Setting, seed: int, data: ImageData, runs: Path) -> float:
    """Train a supernet; gives its processor seconds, without epochs that were interrupted."""
    folder = runs / setting.supernet / str(seed)
    settings = SupernetSettings(random=setting.random)
    return supernet_seconds(STUDY.space, setting.recipe, data, folder, seed, settings)


def supernet_seconds(
    space: ir.SearchSpace,
    recipe: Recipe,
    data: ImageData,
    folder: Path,
    seed: int,
    settings: SupernetSettings,
) -> float:
    """Train a supernet in a folder; gives its processor seconds, see `trained`."""
    file = folder / "seconds.json"
    earlier = dict(read_json(file)) if file.exists() else {"seconds": 0.0, "epochs": 0}
    if earlier["epochs"] < recipe.epochs:
        recipe, clock = replace(recipe, validate_every=recipe.epochs), Clock()

        def note(row: EpochResult) -> None:
            spent = earlier["seconds"] + clock.seconds
            write_json(file, {"seconds": spent, "epochs": row.epoch})

        space = space.with_data(data.image, data.classes)
        train_supernet(
            space, recipe, data, folder, seed=seed, settings=settings, device=CPU, on_epoch=note
        )
    return float(read_json(file)["seconds"])


def inherited(setting: Setting, seed: int, data: ImageData, runs: Path) -> dict[str, Any]:
    """Inherited accuracies by id, and the processor seconds of their evaluation."""
    folder = runs / setting.supernet / str(seed)
    file = folder / f"inherited-{setting.calibration}.json"
    if not file.exists():
        supernet = load_supernet(folder, STUDY.space.with_data(data.image, data.classes), data)
        clock, found = Clock(), {}
        batches = calibration_batches(data, setting.calibration, setting.recipe.augmentation, CPU)
        for name, candidate in networks().items():
            network = calibrated_subnet(supernet, candidate, batches)
            found[name] = accuracy(network, data, data.validation)
        write_json(file, {"accuracy": found, "seconds": clock.seconds})
    return dict(read_json(file))


def fine_tuned(
    setting: Setting, seed: int, ids: Sequence[str], data: ImageData, runs: Path
) -> dict[str, dict[str, float]]:
    """Fine-tune networks; gives the best accuracy and the processor seconds of each."""
    folder = runs / setting.supernet / str(seed)
    name = f"{setting.calibration}-{setting.finetune}-epochs-lr-{setting.finetune_lr:g}"
    file = folder / f"fine-tuned-{name}.json"
    found = dict(read_json(file)) if file.exists() else {}
    recipe = replace(setting.recipe, epochs=setting.finetune, lr=setting.finetune_lr)
    recipe = replace(recipe, warmup_epochs=min(recipe.warmup_epochs, setting.finetune / 3))
    if missing := [each for each in ids if each not in found]:
        supernet = load_supernet(folder, STUDY.space.with_data(data.image, data.classes), data)
        batches = calibration_batches(data, setting.calibration, setting.recipe.augmentation, CPU)
    for each in missing:
        clock, candidate = Clock(), networks()[each]
        start = calibrated_subnet(supernet, candidate, batches).state_dict()
        with tempfile.TemporaryDirectory() as own:
            result = ir.train(
                candidate, recipe, data, Path(own), seed=seed, start=start, device=CPU
            )
        found[each] = {"accuracy": result.accuracy, "seconds": clock.seconds}
        write_json(file, found)
    return {each: found[each] for each in ids}


def trained_alone(crop: int, data: ImageData, runs: Path) -> pd.Series:
    """Accuracies of all networks by id, each trained alone by the table's recipe with this crop."""
    file = runs / f"alone-crop-{crop}.json"
    found = dict(read_json(file)) if file.exists() else {}
    recipe = replace(STUDY.recipe, crop_padding=crop)
    for name, candidate in networks().items():
        if name not in found:
            seed = training_seed(STUDY.seed, name)
            with tempfile.TemporaryDirectory() as own:
                found[name] = ir.train(
                    candidate, recipe, data, Path(own), seed=seed, device=CPU
                ).accuracy
            write_json(file, found)
    return pd.Series(found)


def chosen(accuracies: pd.Series, operations: pd.Series, margin: float) -> list[str]:
    """The front of accuracies and operations, and what is dominated by less than a margin.

    ``margin`` is an accuracy.
    """
    order = operations.sort_values(kind="stable").index
    best, found = -1.0, []
    for name in order:  # a network has more operations than those before it
        if accuracies[name] > best - margin:
            found.append(name)
        best = max(best, accuracies[name])
    if margin == 0:
        points = np.stack([1 - accuracies[found], operations[found]], axis=1)
        found = list(itertools.compress(found, moocore.is_nondominated(points)))
    return found


def shares(ids: Sequence[str], accuracies: pd.Series | None = None) -> float:
    """The share of the true front's hypervolume that networks reach, median over the draws.

    With their accuracies in ``accuracies``, or else by those of the table.
    """
    found = []
    for replicate in range(REPLICATES):
        draw = drawn(replicate)
        reference = draw.reference("worst")
        everything = draw.points(np.arange(len(draw.ids)), draw.errors[:, -1])
        rows = np.array([draw.rows[each] for each in ids])
        own = draw.errors[rows, -1]
        if accuracies is not None:
            own = 1 - accuracies[list(ids)].to_numpy()
        whole = moocore.hypervolume(everything, ref=reference)
        found.append(moocore.hypervolume(draw.points(rows, own), ref=reference) / whole)
    return float(np.median(found))


def taus(accuracies: pd.Series, others: pd.DataFrame, operations: pd.Series) -> tuple[float, float]:
    """Tau with each column of ``others``, mean: over all networks, and within equal operations."""
    order = operations.sort_values(kind="stable").index
    groups = [order[start : start + GROUP] for start in range(0, len(order), GROUP)]
    everyone = [tau(accuracies[order], others.loc[order, seed]) for seed in others]
    equal = [tau(accuracies[group], others.loc[group, seed]) for seed in others for group in groups]
    return float(np.mean(everyone)), float(np.mean(equal))


def rows_of(setting: Setting, seed: int, data: ImageData, runs: Path) -> list[dict[str, Any]]:
    """What a supernet gives for each margin."""
    price = epoch_price(data, runs)
    training = trained(setting, seed, data, runs)
    evaluation = inherited(setting, seed, data, runs)
    accuracies, (operations, table) = pd.Series(evaluation["accuracy"]), alone()
    error = 1 - accuracies.max()
    deviation = float(np.sqrt(error * (1 - error) / len(data.validation)))
    tau_all, tau_equal = taus(accuracies, table, operations)
    common = {"seed": seed, "tau": tau_all, "tau_equal_ops": tau_equal, **asdict(setting)}
    rows = []
    for margin in MARGINS if setting.finetune else MARGINS[:1]:
        ids = chosen(accuracies, operations, margin * deviation)
        seconds, reached = training + evaluation["seconds"], accuracies
        row = common | {"margin": margin, "networks": len(ids)}
        row |= {"epochs_before": seconds / price, "inherited": shares(ids, accuracies)}
        if setting.finetune:
            tuned = fine_tuned(setting, seed, ids, data, runs)
            seconds += sum(each["seconds"] for each in tuned.values())
            reached = pd.Series({name: each["accuracy"] for name, each in tuned.items()})
        rows.append(
            row
            | {"price": seconds / price, "by_table": shares(ids), "reached": shares(ids, reached)}
        )
    return rows


def alone() -> tuple[pd.Series, pd.DataFrame]:
    """Operations of the networks, and the table's best accuracies, one column for each seed."""
    groups = truth().groupby(["candidate_id", "seed"])["validation_accuracy"].max().unstack()
    operations = truth().groupby("candidate_id")["ops"].first()
    ids = list(networks())
    return operations[ids], groups.loc[ids]


def report(rows: pd.DataFrame) -> None:
    """Print a row for each setting and margin: means over seeds."""
    columns = (
        "epochs", "random", "lr", "crop", "calibration", "finetune", "finetune_lr", "margin",
    )  # fmt: skip
    shown = ("networks", "price", "by_table", "inherited", "reached", "tau", "tau_equal_ops")
    table = Table(*columns, "seeds", *shown, title="means over seeds")
    for key, group in rows.groupby(list(columns)):
        cells = [f"{each:g}" for each in key]
        values = group[list(shown)].mean()
        table.add_row(*cells, str(len(group)), *(f"{values[name]:.3g}" for name in shown))
    operations, accuracies = alone()
    pairs = [taus(accuracies[s], accuracies.drop(columns=s), operations) for s in accuracies]
    everyone, equal = np.mean(pairs, axis=0)
    alone_shares = [shares(chosen(accuracies[seed], operations, 0)) for seed in accuracies]
    console = Console(width=160)
    console.print(table)
    console.print(f"two seeds of training alone: tau {everyone:.2f}, equal OPs {equal:.2f}")
    console.print(
        f"by_table of the front of one seed of training alone: {np.mean(alone_shares):.3f}; of all "
        f"{len(operations)} networks: {shares(list(operations.index)):.3f}"
    )


def main() -> None:
    """Do what is not done yet, and compare."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--epochs", type=int, nargs="+", default=[20, 45, 90])
    parser.add_argument("--seeds", type=int, default=3, help="of each supernet")
    parser.add_argument("--random", type=int, default=2, help="networks drawn in each step")
    parser.add_argument("--lr", type=float, default=STUDY.recipe.lr)
    parser.add_argument("--calibration", type=int, default=1024)
    parser.add_argument("--finetune", type=int, default=0, help="epochs; 0 for none")
    parser.add_argument("--finetune-lr", type=float, default=STUDY.recipe.lr)
    parser.add_argument("--crop", type=int, default=STUDY.recipe.crop_padding, help="pixels")
    parser.add_argument("--alone", action="store_true", help="train all networks alone, too")
    parser.add_argument("--runs", type=Path, default=Path("runs/bench-supernet"))
    options = parser.parse_args()
    torch.set_num_threads(1)
    data = load_data(STUDY.data, None, options.runs / ".cache", STUDY.seed)
    rows = []
    for epochs, seed in itertools.product(options.epochs, range(options.seeds)):
        setting = Setting(
            epochs,
            options.random,
            options.lr,
            options.calibration,
            options.finetune,
            options.finetune_lr,
            options.crop,
        )
        rows += rows_of(setting, seed, data, options.runs)
        report(pd.DataFrame(rows))
    write_json(options.runs / "rows.json", rows)
    if options.alone:
        accuracies, (operations, _) = trained_alone(options.crop, data, options.runs), alone()
        share = shares(chosen(accuracies, operations, 0), accuracies)
        print(f"trained alone with a crop of {options.crop} pixels: {share:.3f} of the true front")


if __name__ == "__main__":
    main()
