"""Do warm starts rank candidates as full training does?

Candidates of truth.toml, equally many for each backbone, are fine-tuned from their shared
backbones. Their best validation accuracies are compared with those of the full trainings in
truth.parquet. Two other methods are compared in the same way: a full training that is stopped at
the same epoch, and a full training itself. Each comparison uses full trainings from other seeds
than the method's own, because trainings from one seed agree by that alone.

Kendall's tau-b (Biometrika 1945, "The treatment of ties in ranking problems") is computed over all
candidates, and as the mean over the candidates of one backbone. The second is harder: a wider
network is nearly always better. Intervals contain 95% of 1,000 bootstrap samples of the candidates
of each backbone.

    python tests/benchmarks/warm_start.py [--each 12] [--seeds 1] [--runs runs/warm-start]
"""

from __future__ import annotations

import argparse
import json
import random
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from rich.progress import track
from scipy.stats import kendalltau

import ir2search as ir
from ir2search.data import ImageData, load_data
from ir2search.runs.backbones import backbone_curves, shared_backbone
from ir2search.runs.layout import BACKBONES
from ir2search.space import Candidate, candidate_from_dict
from ir2search.study.sections import WarmStart

TRUTH = ir.load_study(Path(__file__).with_name("truth.toml"))
# the backbones are trained for as many epochs as a full training
STUDY = TRUTH.model_copy(update={"warm_start": WarmStart(epochs=TRUTH.recipe.epochs)})
TABLE = Path(__file__).with_name("truth.parquet")
CPU = torch.device("cpu")
SHORT = (1, 3, 9)  # epochs of fine-tuning
SAMPLES = 1000


def sample(table: pd.DataFrame, each: int) -> list[Candidate]:
    """A number of candidates of each backbone, the same at every call."""
    known = [candidate_from_dict(json.loads(text)) for text in sorted(set(table["candidate"]))]
    groups: dict[str, list[Candidate]] = {}
    for candidate in known:
        groups.setdefault(candidate.backbone_only().id, []).append(candidate)
    draw = random.Random(0)
    return [one for group in groups.values() for one in draw.sample(group, min(each, len(group)))]


def fine_tunings(
    candidates: list[Candidate], data: ImageData, runs: Path, seed: int
) -> pd.DataFrame:
    """Fine-tune candidates from one seed.

    Returns:
        Columns method, candidate_id, seed, epochs, seconds, best (accuracy).
    """
    rows = []
    for candidate in track(candidates, f"seed {seed}"):
        backbone = shared_backbone(STUDY, runs / BACKBONES, candidate, seed)
        assert backbone is not None
        shared = backbone.weights(data, device=CPU)
        for epochs in SHORT:
            method = f"warm start, {epochs} epochs"
            folder = runs / method / candidate.id / str(seed)
            short = replace(STUDY.recipe, epochs=epochs)
            result = ir.train(candidate, short, data, folder, seed=seed, start=shared, device=CPU)
            best = result.best.validation_accuracy
            rows.append((method, candidate.id, seed, epochs, result.seconds, best))
    return pd.DataFrame(
        rows, columns=["method", "candidate_id", "seed", "epochs", "seconds", "best"]
    )


def full_trainings(table: pd.DataFrame) -> pd.DataFrame:
    """What full trainings reach by an epoch, with the columns of `fine_tunings`."""
    tables = []
    for epochs in (*SHORT, STUDY.recipe.epochs):
        begun = table[table["epoch"] <= epochs].groupby(["candidate_id", "seed"])
        found = begun.agg(best=("validation_accuracy", "max"), seconds=("seconds", "sum"))
        whole = epochs == STUDY.recipe.epochs
        method = "full training" if whole else f"full training's epoch {epochs}"
        tables.append(found.reset_index().assign(method=method, epochs=epochs))
    return pd.concat(tables)


def agreement(method: pd.DataFrame, full: pd.DataFrame, groups: list[np.ndarray]) -> np.ndarray:
    """Tau between a method and the mean of full trainings from other seeds; mean over seeds.

    Args:
        method: best accuracies, one row for each candidate, one column for each seed.
        full: best accuracies of full trainings, with the same rows and columns.
        groups: rows of the candidates of each backbone.

    Returns:
        (2,): over all candidates, and the mean over the candidates of one backbone.
    """
    rows, taus = np.concatenate(groups), []
    for seed in method:
        x = method[seed].to_numpy()
        y = full.drop(columns=seed, errors="ignore").mean(axis=1).to_numpy()
        alone = np.mean([tau(x[group], y[group]) for group in groups])
        taus.append((tau(x[rows], y[rows]), alone))
    return np.mean(taus, axis=0)


def tau(x: np.ndarray, y: np.ndarray) -> float:
    """Kendall's tau-b; 0 where all values of one side are equal."""
    found = kendalltau(x, y).statistic
    return 0.0 if np.isnan(found) else float(found)


def intervals(method: pd.DataFrame, full: pd.DataFrame, groups: list[np.ndarray]) -> np.ndarray:
    """The bootstrap intervals of both taus, (2, 2): lower ends, then upper ends."""
    generator = np.random.default_rng(0)
    drawn = [
        agreement(method, full, [generator.choice(group, len(group)) for group in groups])
        for _ in range(SAMPLES)
    ]
    return np.quantile(drawn, [0.025, 0.975], axis=0)


def report(found: pd.DataFrame, candidates: list[Candidate], shared: tuple[int, float]) -> None:
    """Print a row for each method; ``shared`` has epochs and seconds of one seed's backbones."""
    ids = [candidate.id for candidate in candidates]
    backbones = [candidate.backbone_only().id for candidate in candidates]
    groups = [np.flatnonzero(np.array(backbones) == name) for name in dict.fromkeys(backbones)]
    by_method = {
        str(name): rows.pivot(index="candidate_id", columns="seed", values="best").loc[ids]
        for name, rows in found.groupby("method", sort=False)
    }
    spent = found.groupby("method")[["epochs", "seconds"]].sum()
    full = by_method["full training"]
    print(f"{len(ids)} candidates, {len(groups)} backbones, {full.shape[1]} seeds of full training")
    print(f"{'':25} {'tau, all':>18} {'tau, one backbone':>20} accuracy  epochs  seconds (a seed)")
    for name, table in by_method.items():
        taus, (low, high) = agreement(table, full, groups), intervals(table, full, groups)
        cells = [f"{taus[i]:.2f} [{low[i]:.2f}, {high[i]:.2f}]" for i in range(2)]
        epochs, seconds = spent.loc[name] / table.shape[1]
        if name.startswith("warm"):
            epochs, seconds = epochs + shared[0], seconds + shared[1]
        mean = table.mean(axis=None)
        print(f"{name:25} {cells[0]:>18} {cells[1]:>20} {mean:8.1%} {epochs:7.0f} {seconds:8.0f}")


def main() -> None:
    """Train what is not trained yet, and compare."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--each", type=int, default=12, help="candidates of each backbone")
    parser.add_argument("--seeds", type=int, default=1, help="of the fine-tunings")
    parser.add_argument("--truth", type=Path, default=TABLE)
    parser.add_argument("--runs", type=Path, default=Path("runs/warm-start"))
    options = parser.parse_args()
    torch.set_num_threads(1)
    table = pd.read_parquet(options.truth)
    candidates = sample(table, options.each)
    data = load_data(STUDY.data, None, options.runs / ".cache", STUDY.seed)
    seeds = [fine_tunings(candidates, data, options.runs, seed) for seed in range(options.seeds)]
    ids = {candidate.id for candidate in candidates}
    full = full_trainings(table[table["candidate_id"].isin(ids)])
    rows = [row for curve in backbone_curves(options.runs) for row in curve]
    shared = len(rows), sum(row.seconds for row in rows)
    report(pd.concat([*seeds, full]), candidates, shared)


if __name__ == "__main__":
    main()
