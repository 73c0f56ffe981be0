"""Commands on this machine."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ir2search.cli.options import Data, Json


def doctor(
    data: Data = None,
    runs: Annotated[Path, typer.Option(help="Where runs are to be written.")] = Path("runs"),
    as_json: Json = False,
) -> None:
    """Check this machine: devices, threads, compiler, disk, data, optional parts.

    Says what would make training faster. Exit code 1 where something is in the way of a study.

    \b
    Examples:
      ir2search doctor
      ir2search doctor --data cifar10/ --runs /scratch/runs
    """
    from ir2search.cli.show import show_findings
    from ir2search.doctor import examine

    findings = examine(data, runs)
    show_findings(findings, as_json)
    if any(finding.state == "wrong" for finding in findings):
        raise typer.Exit(1)
