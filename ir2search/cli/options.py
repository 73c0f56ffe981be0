"""Options that several commands have."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ir2search.cli.completion import network_names, run_folders

Folder = Annotated[
    Path,
    typer.Argument(
        metavar="RUN", help="A run's folder, such as runs/digits.", autocompletion=run_folders
    ),
]
Network = Annotated[
    str,
    typer.Argument(
        help="A preset, a candidate.json, or a trial's folder.", autocompletion=network_names
    ),
]
Data = Annotated[
    Path | None,
    typer.Option(help="Folder of images: parquet, CIFAR-10 binary batches, or split/class/*."),
]
Device = Annotated[str, typer.Option(help="auto (the first GPU, else the CPU), cpu, cuda, cuda:1.")]
Devices = Annotated[
    str, typer.Option("--device", help="auto, cpu, cuda, or several as cuda:0,cuda:1.")
]
Workers = Annotated[
    int | None,
    typer.Option(min=1, help="Train so many candidates at once, each in a process of its own."),
]
TrialsPerDevice = Annotated[
    int | None, typer.Option(min=1, help="In place of --workers: so many on each device.")
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object instead of tables.")]
