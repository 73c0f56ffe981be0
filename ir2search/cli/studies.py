"""Commands on studies and their runs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Literal

import typer

from ir2search.cli.completion import run_folders, study_names
from ir2search.cli.options import Data, Devices, Folder, Json, TrialsPerDevice, Workers


def init(
    file: Annotated[Path, typer.Argument(help="Where to write it.")] = Path("my-study.toml"),
    data: Annotated[
        Path | None, typer.Option(help="Folder of your images; the digits if left out.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Write a study file to start from, in which every key is explained.

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
    typer.echo(f"{file}; change what you like, then: ir2search run {file}")


def run(
    study: Annotated[
        str,
        typer.Argument(
            help="A study file, or the name of a shipped study.", autocompletion=study_names
        ),
    ],
    runs: Annotated[
        Path, typer.Option(help="Folder of all runs; nothing is written elsewhere.")
    ] = (Path("runs")),
    data: Data = None,
    device: Devices = "auto",
    trials: Annotated[
        int | None, typer.Option(min=1, help="Train so many candidates, whatever the file says.")
    ] = None,
    workers: Workers = None,
    trials_per_device: TrialsPerDevice = None,
    executor: Annotated[
        Literal["local", "ray"], typer.Option(help="Train on this machine, or on a Ray cluster.")
    ] = "local",
    address: Annotated[str, typer.Option(help="The Ray cluster: auto or HOST:PORT.")] = "auto",
    storage: Annotated[
        str | None,
        typer.Option(
            help="Keep the trials in a journal, or on postgresql+psycopg://USER@HOST/DATABASE or "
            "grpc://HOST:PORT, for several drivers; SQLite in the run's folder if left out."
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Run a study, or go on with it.

    Candidates are trained on the training images and ranked on validation images; test images
    are read once, for the front, at the end. Ctrl-C ends cleanly; run it again to go on.

    \b
    Examples:
      ir2search run digits
      ir2search run cifar10 --data cifar10/ --device cuda
      ir2search run my-study.toml --runs /scratch/runs --trials 100
      ir2search run my-study.toml --device cuda:0,cuda:1 --trials-per-device 4
      ir2search run my-study.toml --executor ray --address head:6379
      ir2search run my-study.toml --storage postgresql+psycopg://me@db/studies
    """
    from ir2search.cli.progress import RunProgress
    from ir2search.cli.show import show_status
    from ir2search.search import run as run_study
    from ir2search.study import load_study

    asked = load_study(study)
    if trials is not None:
        asked = asked.model_copy(update={"trials": trials})
    with RunProgress() as progress:
        result = run_study(
            asked,
            runs / asked.name,
            data=data,
            device=device,
            workers=workers,
            trials_per_device=trials_per_device,
            executor=executor,
            address=address,
            storage=storage,
            observer=progress,
        )
    show_status(result, as_json)


def worker(
    folder: Folder,
    data: Data = None,
    device: Devices = "auto",
    workers: Workers = None,
    trials_per_device: TrialsPerDevice = None,
    storage: Annotated[
        str | None, typer.Option(help="The run's storage again, where it needs a password.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Work on a run that was begun with --storage, from this machine too.

    The run's folder has to be one that all machines share, such as on NFS.

    \b
    Examples:
      ir2search worker /shared/runs/my-study
      srun --ntasks 8 ir2search worker /shared/runs/my-study --device cuda
    """
    from ir2search.cli.progress import RunProgress
    from ir2search.cli.show import show_status
    from ir2search.search import join

    with RunProgress() as progress:
        result = join(
            folder,
            data=data,
            device=device,
            workers=workers,
            trials_per_device=trials_per_device,
            storage=storage,
            observer=progress,
        )
    show_status(result, as_json)


def status(
    folder: Folder,
    watch: Annotated[
        bool, typer.Option("--watch", help="Keep showing it until the run has ended, or Ctrl-C.")
    ] = False,
    as_json: Json = False,
) -> None:
    """How far a run is, and its front so far.

    With --watch and --json, prints an object a line whenever something has changed.

    \b
    Examples:
      ir2search status runs/digits
      ir2search status runs/digits --watch
      ir2search status runs/digits --json | jq '.front[0].candidate_id'
    """
    from ir2search.cli.show import show_status, watch_status
    from ir2search.runs import status as run_status

    if watch:
        watch_status(folder, as_json)
    else:
        show_status(run_status(folder), as_json)


def dashboard(
    folder: Folder,
    host: Annotated[
        str, typer.Option(help="Address to listen at; 0.0.0.0 opens it to the network.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes one that is free.")] = 8080,
    as_json: Json = False,
) -> None:
    """Look at a run in the browser while it goes on, with optuna-dashboard; Ctrl-C ends it.

    Whoever can reach the address can change the study: it has no password.

    \b
    Examples:
      ir2search dashboard runs/digits
      ir2search dashboard runs/digits --port 0 --json
    """
    from ir2search.search.dashboard import serve

    def tell(url: str) -> None:
        typer.echo(json.dumps({"url": url}) if as_json else url)

    serve(folder, host, port, on_ready=tell)


def report(
    folder: Folder,
    compare: Annotated[
        Path | None,
        typer.Option(
            metavar="RUN",
            help="Write too how its front stands against another run's.",
            autocompletion=run_folders,
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Write a run's report: a page, figures and tables.

    Makes report/index.html (one file, works offline), report.md, tables as CSV, parquet and LaTeX
    and figures as PNG, SVG and PDF for one and two columns in the run's folder, and prints where
    the page is. With --compare another page has both fronts, the ratio of their hypervolumes and
    how much each covers of the other.

    \b
    Examples:
      ir2search report runs/digits
      ir2search report runs/digits --compare runs/digits-random
    """
    from ir2search.report import write_comparison, write_report

    pages = {"page": str(write_report(folder))}
    if compare is not None:
        pages["comparison"] = str(write_comparison(folder, compare))
    typer.echo(json.dumps(pages) if as_json else "\n".join(pages.values()))


def studies(as_json: Json = False) -> None:
    """List the studies that come along, with the data and the epochs that each takes.

    OPs are those of the cheapest and the dearest network in the study's space, within its budget.

    \b
    Examples:
      ir2search studies
    """
    from ir2search.cli.show import show_studies
    from ir2search.study.survey import survey_studies

    show_studies(survey_studies(), as_json)
