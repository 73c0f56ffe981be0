"""Commands on studies and their runs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from ir2search import escape
from ir2search.cli.completion import study_names
from ir2search.cli.options import (
    RUNS,
    Data,
    Devices,
    Folder,
    Json,
    Log,
    Runs,
    SavedStorage,
    TrialsPerDevice,
    Trust,
    Workers,
    opened,
)

StudyName = Annotated[
    str,
    typer.Argument(
        help="A study file, or the name of an included study.", autocompletion=study_names
    ),
]
Storage = Annotated[
    str | None,
    typer.Option(
        help="Keep the trials on a server: postgresql+psycopg://USER@HOST/DATABASE, or "
        "grpc://HOST:PORT. By default a journal in the run's folder."
    ),
]

Trials = Annotated[
    int | None,
    typer.Option(min=1, help="Number of candidates to train; overrides the study file."),
]
ExecutorName = Annotated[
    Literal["local", "ray"], typer.Option(help="Train on this machine or on a Ray cluster.")
]
DryRun = Annotated[
    bool,
    typer.Option(
        "--dry-run", help="Only say how large the space is and what the search will take."
    ),
]


def init(
    file: Annotated[Path, typer.Argument(help="The file to write.")] = Path("my-study.toml"),
    data: Annotated[
        Path | None, typer.Option(help="Folder of your images; without it, the included digits.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Write a study file to start from, with an explanation of every key.

    \b
    Examples:
      ir2search init
      ir2search init birds.toml --data birds/
    """
    from ir2search.study import write_template

    write_template(file, data)
    if as_json:
        typer.echo(json.dumps({"file": str(file)}))
        return
    shown = escape.terminal(file)
    typer.echo(f"{shown}; edit it, then: ir2search run {shown}")


def run(
    study: StudyName,
    runs: Runs = RUNS,
    data: Data = None,
    device: Devices = "auto",
    trials: Trials = None,
    workers: Workers = None,
    trials_per_device: TrialsPerDevice = None,
    executor: ExecutorName = "local",
    address: Annotated[
        str, typer.Option(help="Address of the Ray cluster: auto, or HOST:PORT.")
    ] = "auto",
    storage: Storage = None,
    retry_failed: Annotated[
        bool, typer.Option("--retry-failed", help="Train the trials again that have failed.")
    ] = False,
    log: Log = None,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Run a study, or continue it.

    Candidates are trained on the training images and ranked on the validation images. The test
    images are read once, for the front, at the end. Ctrl-C stops the run after its files are
    saved; run the same command again to continue. If all trials fail, the exit code is 1.

    \b
    Examples:
      ir2search run digits
      ir2search run digits --dry-run
      ir2search run cifar10 --data cifar10/ --device cuda
      ir2search run my-study.toml --runs /scratch/runs --trials 100
      ir2search run my-study.toml --retry-failed
      ir2search run my-study.toml --device cuda:0,cuda:1 --trials-per-device 4
      ir2search run my-study.toml --executor ray --address head:6379
      ir2search run my-study.toml --storage postgresql+psycopg://me@db/studies
      ir2search run my-study.toml --log mlflow
    """
    from ir2search.cli.show_runs import check_trained, show_estimate, show_status
    from ir2search.search import RunProgress, estimate
    from ir2search.search import run as run_study
    from ir2search.study import load_study
    from ir2search.trackers import named_tracker

    asked, trackers = load_study(study), [named_tracker(name) for name in log or ()]
    if trials is not None:
        asked = asked.model_copy(update={"trials": trials})
    where: dict[str, Any] = {
        "data": data,
        "device": device,
        "workers": "auto" if workers is None and trials_per_device is None else workers,
        "trials_per_device": trials_per_device,
    }
    if dry_run:
        show_estimate(estimate(asked, runs / asked.name, **where), as_json)
        return
    with RunProgress() as bars:
        result = run_study(
            asked,
            runs / asked.name,
            **where,
            executor=executor,
            address=address,
            storage=storage,
            retry_failed=retry_failed,
            observer=[bars, *trackers],
            progress=False,
        )
    show_status(result, as_json)
    check_trained(result)


def rerun(
    folder: Folder,
    seed: Annotated[
        int | None,
        typer.Option(min=0, max=2**31 - 1, help="Another seed; by default that of the run."),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(help="Folder to write; by default NAME-rerun or NAME-seed-N beside the run."),
    ] = None,
    data: Data = None,
    device: Devices = "auto",
    workers: Workers = None,
    storage: SavedStorage = None,
    trust: Trust = False,
    as_json: Json = False,
) -> None:
    """Run the study of a run again, into a new folder.

    Takes the study, its seed and its modules as the run recorded them. With the same seed the
    search tries the same candidates, and on a CPU of the same kind it gets the same accuracies.
    Another seed also splits the images in another way. Run the same command again to continue.

    \b
    Examples:
      ir2search rerun digits
      ir2search rerun digits --seed 1 --device cuda
    """
    from ir2search.cli.show_runs import check_trained, show_status
    from ir2search.search import RunProgress
    from ir2search.search import rerun as run_again

    with RunProgress() as bar:
        result = run_again(
            opened(folder, storage),
            out,
            seed=seed,
            data=data,
            device=device,
            workers="auto" if workers is None else workers,
            observer=bar,
            progress=False,
        )
    show_status(result, as_json)
    check_trained(result)


def worker(
    folder: Folder,
    data: Data = None,
    device: Devices = "auto",
    workers: Workers = None,
    trials_per_device: TrialsPerDevice = None,
    storage: SavedStorage = None,
    trust: Trust = False,
    as_json: Json = False,
) -> None:
    """Join a run that was started with --storage, from this or another machine.

    All machines must share the run's folder, for example over NFS.

    \b
    Examples:
      ir2search worker /shared/runs/my-study
      srun --ntasks 8 ir2search worker /shared/runs/my-study --device cuda
    """
    from ir2search.cli.show_runs import check_trained, show_status
    from ir2search.search import RunProgress, join

    with RunProgress() as bars:
        result = join(
            folder,
            data=data,
            device=device,
            workers=workers,
            trials_per_device=trials_per_device,
            storage=storage,
            observer=bars,
            progress=False,
        )
    show_status(result, as_json)
    check_trained(result)


def status(
    folder: Folder,
    watch: Annotated[
        bool, typer.Option("--watch", help="Update the status until the run ends.")
    ] = False,
    storage: SavedStorage = None,
    trust: Trust = False,
    as_json: Json = False,
) -> None:
    """Show the progress of a run and its front so far.

    With --watch and --json, prints one JSON object per line after each change.

    \b
    Examples:
      ir2search status runs/digits
      ir2search status digits --watch
      ir2search status runs/digits --json | jq '.front[0].candidate_id'
    """
    from ir2search.cli.show_runs import show_status, watch_status
    from ir2search.runs import status as run_status

    if watch:
        watch_status(opened(folder, storage), as_json)
    else:
        show_status(run_status(opened(folder, storage)), as_json)


def dashboard(
    folder: Folder,
    host: Annotated[
        str, typer.Option(help="Address to listen on; 0.0.0.0 allows the whole network.")
    ] = "127.0.0.1",
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="Port to listen on; 0 takes a free one.")
    ] = 8080,
    storage: SavedStorage = None,
    trust: Trust = False,
    as_json: Json = False,
) -> None:
    """Show a run in the browser with optuna-dashboard, also while it is running.

    Ctrl-C ends the dashboard. It has no password: everyone who can reach the address can change
    the study.

    \b
    Examples:
      ir2search dashboard runs/digits
      ir2search dashboard runs/digits --port 0 --json
    """
    from ir2search.search.dashboard import serve

    def print_url(url: str) -> None:
        typer.echo(json.dumps({"url": url}) if as_json else url)

    serve(opened(folder, storage), host, port, on_ready=print_url)


def report(
    folder: Folder,
    storage: SavedStorage = None,
    trust: Trust = False,
    as_json: Json = False,
) -> None:
    """Write a run's report: a page, figures and tables.

    The folder report of the run gets index.html (one file, works offline), report.md, tables as
    CSV, parquet and LaTeX, and figures as PNG, SVG and PDF for one and two columns. The command
    prints the path of the page.

    \b
    Examples:
      ir2search report runs/digits
    """
    from ir2search.report import write_report

    page = str(write_report(opened(folder, storage)))
    typer.echo(json.dumps({"page": page}) if as_json else escape.terminal(page))


def trust(folder: Folder, as_json: Json = False) -> None:
    """Trust the modules of a run that somebody else made: commands then run their code.

    The code has all your rights, so read it first. You trust the content of the modules: if one
    changes, commands do not run it. Your own runs are always trusted.

    \b
    Examples:
      ir2search trust runs/theirs
    """
    from ir2search.runs.saved import trust_run

    modules = trust_run(folder)
    if as_json:
        found = [{"module": module.name, "sha256": module.sha256} for module in modules]
        typer.echo(json.dumps({"trusted": found}))
        return
    for module in modules:
        typer.echo(f"{escape.terminal(module.name)}: trusted, SHA-256 {module.sha256}")
    if not modules:
        typer.echo(f"{escape.terminal(str(folder))}: has no modules")


def studies(
    ops: Annotated[
        bool, typer.Option("--ops", help="Count OPs too, which takes some seconds.")
    ] = False,
    as_json: Json = False,
) -> None:
    """List the included studies, with the data and the epochs that each one needs.

    With --ops, the column OPs shows the OPs of the smallest and the largest network in the space
    and budget.

    \b
    Examples:
      ir2search studies
      ir2search studies --ops
    """
    from ir2search.cli.show_runs import show_studies
    from ir2search.study.survey import survey_studies

    show_studies(survey_studies(ops), as_json)
