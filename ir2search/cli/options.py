"""Options that several commands have."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ir2search.cli.completion import network_names, run_folders

if TYPE_CHECKING:
    from ir2search.runs import Run


def _trust_all_code(trust: bool) -> None:
    from ir2search.trust import trust_all_code

    if trust:
        trust_all_code()


def named_run(given: Path | None) -> Path | None:
    """The folder of a run that is given by its name or its folder."""
    from ir2search.runs import find_run

    return None if given is None else find_run(given)


def _named_runs(given: list[Path]) -> list[Path]:
    from ir2search.runs import find_run

    return [find_run(each) for each in given]


def opened(given: str | Path, storage: str | None) -> Run | str | Path:
    """The run, opened with the storage; its folder if no storage is given."""
    from ir2search.runs import find_run

    folder = find_run(given)
    if storage is None:
        return folder
    from ir2search.runs import Run

    return Run.open(folder, storage)


def trial_of(given: str, trial: str | None) -> str:
    """The folder of a run's trial, by default the best one; what is given if that is no run.

    Raises:
        InputError: a trial is asked for, and it is no run; or the run has no such trial.
    """
    from ir2search.runs import Run, find_run
    from ir2search.runs.layout import STUDY_FILE

    folder = find_run(given)
    if not (folder / STUDY_FILE).is_file() and trial is None:
        return given
    run = Run.open(folder)
    return str(run.folder_of(run.pick(trial or "best")))


def listed(given: str) -> list[str]:
    """The names in an option such as ``stem, stage1``."""
    return [name.strip() for name in given.split(",")]


Folder = Annotated[
    Path,
    typer.Argument(
        metavar="RUN",
        help="A run's folder such as runs/digits, or its name in the folder of all runs: digits.",
        callback=named_run,
        autocompletion=run_folders,
    ),
]
Folders = Annotated[
    list[Path],
    typer.Argument(
        metavar="RUN...",
        help="Two or more runs: their folders or names.",
        callback=_named_runs,
        autocompletion=run_folders,
    ),
]
RUNS = Path("runs")
Runs = Annotated[
    Path,
    typer.Option(
        "--runs",
        help="Folder of all runs; the variable IR2SEARCH_RUNS changes the default.",
        envvar="IR2SEARCH_RUNS",
        show_envvar=False,
    ),
]
Network = Annotated[
    str,
    typer.Argument(
        metavar="NETWORK",
        help="A preset, a network of `ir2search zoo`, a candidate.json, a trial's folder, a packed "
        "file, or with --trial a run.",
        autocompletion=network_names,
    ),
]
RunTrial = Annotated[
    str | None, typer.Option("--trial", help="Of a run: best, knee, or a trial's number.")
]
RunOrNetwork = Annotated[
    str,
    typer.Argument(
        metavar="RUN",
        help="A run's folder or name, or a network of `ir2search zoo`. With --weights: a preset or "
        "a candidate.json.",
    ),
]
Weights = Annotated[
    Path | None, typer.Option(help="Weights of a preset or candidate.json; instead of a run.")
]
Data = Annotated[
    Path | None,
    typer.Option(
        help="Folder of images: parquet, CIFAR-10 binary batches, or split/class/*. The variable "
        "IR2SEARCH_DATA names one for studies that need a folder and give no path."
    ),
]
Device = Annotated[str, typer.Option(help="auto (the first GPU, else the CPU), cpu, cuda, cuda:1.")]
Devices = Annotated[
    str, typer.Option("--device", help="auto, cpu, cuda, or several such as cuda:0,cuda:1.")
]
Workers = Annotated[
    int | None,
    typer.Option(
        min=1,
        help="Number of candidates to train at once, each in its own process. By default one for "
        "each GPU; `run` without a GPU takes one for each core, up to `parallel` of the study.",
    ),
]
TrialsPerDevice = Annotated[
    int | None,
    typer.Option(
        min=1, help="Number of candidates to train at once on each device; instead of --workers."
    ),
]
SavedStorage = Annotated[
    str | None,
    typer.Option(
        "--storage",
        help="Storage of the run; needed if it has a password, or if you have never given it for "
        "this folder.",
    ),
]
Trust = Annotated[
    bool,
    typer.Option(
        "--trust",
        help="Run the code of the run's modules once; `ir2search trust` allows it permanently.",
        callback=_trust_all_code,
        expose_value=False,
    ),
]
Log = Annotated[
    list[str] | None,
    typer.Option(
        "--log",
        metavar="TRACKER",
        help="Send curves, parameters, costs, front and report to tensorboard, mlflow or wandb; "
        "may be given several times. Each has an extra of its name.",
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object instead of tables.")]
