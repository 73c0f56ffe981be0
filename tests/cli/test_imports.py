from __future__ import annotations

import subprocess
import sys

HEAVY = {"torch", "pandas", "matplotlib", "captum", "optuna", "numpy", "fvcore", "sklearn"}


def test_help_imports_nothing_heavy() -> None:
    shown = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "ir2search.cli.app", "--help"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert "Usage" in shown.stdout
    imported = {line.rsplit("|", 1)[1].strip() for line in shown.stderr.splitlines()}
    assert "typer" in imported, "the list of imports was read"
    assert {name.split(".")[0] for name in imported} & HEAVY == set()
