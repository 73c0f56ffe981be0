"""How many epochs does a search spend until it has found the front?

Replays the learning curves of a table (made by truth.py) instead of training. So searches can be
repeated from many seeds, and compared with the true front.

    python tests/benchmarks/search.py [--table STUDY] [--replicates 30] [--workers 2]
        [--moasha PYTHON] [--botorch PYTHON]
    python tests/benchmarks/search.py --draw

A table is a study file with a parquet file beside it (see curve_table.py); the default is
truth.toml. The methods are in search_methods.py, and Syne Tune's MOASHA in moasha.py. The figures
are the epochs spent until a method has found 95% and 99% of the true front's hypervolume, see
search_results.py. With ``cached``, a plain sampler's duplicates cost nothing; this stronger variant
is the baseline of all ratios. A replicate draws the curves and seeds the sampler.

Each finished search is kept in a folder (runs/bench-search), so that an interrupted comparison can
continue. Remove the kept searches of a method after its proposals or its rungs have changed.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import tempfile
import warnings
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import optuna
import torch
from curve_table import DIGITS, drawn, the_study
from rich.console import Console
from rich.progress import track
from search_figure import draw_figure, result_file
from search_methods import ALL_BUT_LUCK, BOTORCH, MEMORY, METHODS
from search_results import measured, summary

from ir2search.search.executors.processes import end_with_parent

HERE = Path(__file__).parent
REPORT = HERE.parent.parent / "reports" / "search"  # where they are published
CONSOLE = Console(width=130)


def kept_file(kept: Path, name: str, replicate: int) -> Path:
    """The file of a method's search in a replicate."""
    return kept / name.replace(": ", "-").replace(", ", "-").replace(" ", "-") / f"{replicate}.npy"


def run_one(name: str, replicate: int, table: Path, file: Path) -> None:
    """Run a method in a replicate, and keep the epochs that it trains in a file."""
    torch.set_num_threads(1)
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        trace = {**METHODS, **BOTORCH}[name](replicate, table)
    file.parent.mkdir(parents=True, exist_ok=True)
    if trace.seconds:
        np.save(file.with_suffix(".seconds.npy"), trace.seconds)
    part = file.with_suffix(".part.npy")
    np.save(part, np.array(trace.steps, dtype=np.int16))
    part.replace(file)


def run_ours(names: list[str], replicates: int, workers: int, kept: Path, table: Path) -> None:
    """Run the searches that are not kept yet, replicate by replicate."""
    jobs = [
        (name, replicate, table, kept_file(kept, name, replicate))
        for replicate in range(replicates)
        for name in names
    ]
    todo = [job for job in jobs if not job[-1].exists()]
    with ProcessPoolExecutor(workers, get_context("spawn"), end_with_parent) as pool:
        running = [pool.submit(run_one, *job) for job in todo]
        for job in track(as_completed(running), "searches", total=len(todo), console=CONSOLE):
            job.result()


MOASHA = {"moasha": [], "moasha, mended": ["--mended"]}
MOASHA_LIMIT = 1500  # epochs of its searches, which are slow


def run_moasha(python: Path, replicates: int, workers: int, kept: Path, table: Path) -> None:
    """Run Syne Tune's MOASHA, as released and with its priority corrected."""
    space, draws = the_study(table).space, [drawn(each, table) for each in range(replicates)]
    rows = [draws[0].rows[space.candidate(point).id] for point in space.grid()]
    steps = min(MOASHA_LIMIT, draws[0].limit)
    with tempfile.TemporaryDirectory(dir=MEMORY) as folder:
        source = Path(folder) / "in.npz"
        np.savez(
            source,
            errors=np.stack([draw.errors for draw in draws]),
            costs=draws[0].costs,
            rows=rows,
            domains=json.dumps({name: domain.values for name, domain in space.searched.items()}),
        )
        for name, options in MOASHA.items():
            target = kept_file(kept, name, 0).parent
            command = [python, HERE / "moasha.py", source, target, "--workers", workers]
            command += ["--steps", steps, *options]
            subprocess.run(list(map(str, command)), check=True)


def run_botorch(python: Path, replicates: int, workers: int, kept: Path, table: Path) -> None:
    """Run this program in the environment of BoTorch, for its methods only."""
    command = [python, __file__, "--methods", *BOTORCH, "--only-search", "--kept", kept]
    command += ["--table", table, "--replicates", replicates, "--workers", workers]
    subprocess.run(list(map(str, command)), check=True)


def kept_traces(
    kept: Path, names: Iterable[str], replicates: int
) -> dict[str, dict[int, np.ndarray]]:
    """The epochs that methods trained, by name and replicate; only what is kept."""
    found = {
        name: {
            replicate: np.load(file)
            for replicate in range(replicates)
            if (file := kept_file(kept, name, replicate)).exists()
        }
        for name in names
    }
    return {name: traces for name, traces in found.items() if traces}


def show_seconds(kept: Path) -> None:
    """Print the CPU time of BoTorch's proposals."""
    for name in BOTORCH:
        files = sorted(kept_file(kept, name, 0).parent.glob("*.seconds.npy"))
        if files:
            seconds = float(np.median(np.concatenate([np.load(file) for file in files])))
            CONSOLE.print(f"{name}: median {seconds:.2f} s of CPU time a proposal")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--table", type=Path, default=DIGITS, help="study file of a table")
    parser.add_argument("--replicates", type=int, default=30)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--methods", nargs="*", default=list(METHODS), choices=[*METHODS, *BOTORCH])
    parser.add_argument("--moasha", type=Path, help="Python of an environment with syne-tune")
    parser.add_argument("--botorch", type=Path, help="Python of an environment with botorch")
    parser.add_argument("--only-search", action="store_true", help="keep searches, print nothing")
    parser.add_argument("--kept", type=Path, default=Path("runs/bench-search"))
    parser.add_argument("--report", type=Path, default=REPORT, help="folder of the results")
    parser.add_argument("--draw", action="store_true", help="draw the published results again")
    options = parser.parse_args()
    if options.draw:
        draw_figure(options.report)
        return
    table = options.table
    kept = options.kept if table.stem == DIGITS.stem else options.kept / table.stem
    common = (options.replicates, options.workers, kept, table)
    has_others = drawn(0, table).others.size > 0
    run_ours([each for each in options.methods if has_others or each != ALL_BUT_LUCK], *common)
    if options.only_search:
        return
    if options.botorch is not None and options.botorch.exists():
        run_botorch(options.botorch, options.replicates, options.workers, options.kept, table)
    else:
        CONSOLE.print("BoTorch is not run: it is not installed")
    if options.moasha is not None and options.moasha.exists():
        run_moasha(options.moasha, *common)
    else:
        CONSOLE.print("MOASHA is not run: syne-tune is not installed")
    traces = kept_traces(kept, [*METHODS, *BOTORCH, *MOASHA], options.replicates)
    results, file = measured(traces, table), result_file(options.report, table)
    file.parent.mkdir(parents=True, exist_ok=True)
    results.to_parquet(file)
    draw_figure(options.report)
    for measure in ("worst", "guess"):
        CONSOLE.print(summary(results, measure, drawn(0, table).limit))
    show_seconds(kept)


if __name__ == "__main__":
    main()
