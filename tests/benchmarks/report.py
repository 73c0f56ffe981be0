"""How long it takes to write and to open a report of thousands of trials, and how large it is.

Records a study of random candidates with made-up learning curves, because no training is timed
here. Then it writes the report, and opens the page in Chromium with an empty cache.

    python tests/benchmarks/report.py [--trials 5000]
"""

from __future__ import annotations

import argparse
import json
import math
import random
import shutil
import statistics
import tempfile
import time
from dataclasses import asdict
from datetime import datetime
from pathlib import Path

import optuna
import torch
from optuna.trial import TrialState, create_trial
from playwright.sync_api import sync_playwright

import ir2search as ir
from ir2search.environment import add_session
from ir2search.files import write_json, write_text
from ir2search.runs.layout import CANDIDATE_FILE, COST_FILE, CURVE, ENVIRONMENT_FILE, trial_folder
from ir2search.runs.saved import write_study
from ir2search.runs.storages import open_storage
from ir2search.search.samplers.base import distributions
from ir2search.study.loading import parse_study
from ir2search.training import EpochResult

EPOCHS = 20
SPACE = {
    "depth": [8, 14, 20],
    "width": {"low": 0.25, "high": 1.0, "step": 0.125},
    "threshold": {"low": 0.0, "high": 1.0, "step": 0.1},
    "fusion": ["dense", "compact"],
    "fusion_ratio": {"low": 2, "high": 8},
    "taps": {"stem": [True, False], "stage1": [True, False], "stage2": [True, False]},
}


def make_run(folder: Path, trials: int) -> None:
    """Record a finished run with this number of trials."""
    study = parse_study({"name": "many", "trials": trials, "space": SPACE}, "many.toml")
    write_study(folder, study)
    add_session(folder / ENVIRONMENT_FILE, study.seed, torch.device("cpu"))
    storage = open_storage(folder, study, create=True)
    space, generator = study.space.with_data((1, 16, 16), 10), random.Random(0)
    for number, point in enumerate(space.points(generator, trials)):
        candidate = space.candidate(point)
        price = ir.cost(candidate)
        best = 1 - 0.6 * math.exp(-((price.ops / 4e4) ** 0.4)) - generator.uniform(0, 0.1)
        write_trial(trial_folder(folder, number), candidate, price, best)
        attributes = {
            "candidate_id": candidate.id, "candidate": candidate.as_dict(),
            "cost": price.totals(), "accuracy": best, "seconds": 1.0, "best_epoch": EPOCHS,
            "outcome": "trained",
        }  # fmt: skip
        storage.add_trial(
            create_trial(
                state=TrialState.COMPLETE,
                params=point,
                distributions=distributions(space),
                values=[best, price.ops],
                user_attrs=attributes,
            )
        )


def write_trial(folder: Path, candidate: ir.Candidate, price: ir.Cost, best: float) -> None:
    """Write the files of a trial."""
    write_json(folder / CANDIDATE_FILE, candidate.as_dict())
    write_json(folder / COST_FILE, price.as_dict())
    accuracies = (best * (1 - math.exp(-epoch / 4)) for epoch in range(1, EPOCHS + 1))
    curve = [EpochResult(n, 1 / n, each, 0.0, 0.1, 1.0) for n, each in enumerate(accuracies, 1)]
    write_text(folder / CURVE, "".join(json.dumps(asdict(row)) + "\n" for row in curve))


def seconds_to_open(page: Path) -> list[float]:
    """Seconds until the front and a card can be used, for five openings."""
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    found = []
    with sync_playwright() as playwright:
        arguments = ["--no-sandbox", "--disable-gpu"]
        browser = playwright.chromium.launch(executable_path=chromium, args=arguments)
        for _ in range(5):
            opened = browser.new_context(offline=True).new_page()
            start = time.perf_counter()
            opened.goto(page.as_uri())
            opened.wait_for_selector("html[data-drawn=yes]")
            found.append(time.perf_counter() - start)
            opened.context.close()
        browser.close()
    return found


def main() -> None:
    """Print times and the size of the page."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--trials", type=int, default=5000)
    trials = parser.parse_args().trials
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "many"
        began = datetime.now()
        make_run(folder, trials)
        print(f"{trials} trials recorded in {(datetime.now() - began).seconds} s")
        start = time.perf_counter()
        page = ir.write_report(folder)
        print(f"report made in {time.perf_counter() - start:.1f} s")
        print(f"page of {page.stat().st_size / 1e6:.1f} MB")
        opened = seconds_to_open(page)
        print(f"opens in {statistics.median(opened):.2f} s (up to {max(opened):.2f})")


if __name__ == "__main__":
    main()
