"""The command that checks this machine."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ir2search.cli.options import Data, Json, Verbose


def doctor(
    data: Data = None,
    runs: Annotated[Path, typer.Option(help="Folder that runs will be written to.")] = Path("runs"),
    as_json: Json = False,
    verbose: Verbose = False,
) -> None:
    """Check this machine: devices, threads, compiler, disk, data, optional packages.

    Gives advice for faster training. The exit code is 1 if a study cannot run.

    \b
    Examples:
      ir2search doctor
      ir2search doctor --data cifar10/ --runs /scratch/runs
    """
    from ir2search.cli.show_devices import show_findings
    from ir2search.doctor import examine

    findings = examine(data, runs)
    show_findings(findings, as_json)
    if any(finding.state == "wrong" for finding in findings):
        raise typer.Exit(1)
