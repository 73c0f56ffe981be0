from __future__ import annotations

import subprocess
import sys
from pathlib import Path

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


def test_status_reads_a_run_without_torch(finished_run: Path) -> None:
    code = (
        "import sys; sys.argv = ['ir2search', 'status', sys.argv[1]]\n"
        "from ir2search.cli.app import main\n"
        "try: main()\n"
        "finally: print({'torch', 'scipy.stats', 'sklearn', 'matplotlib'} & set(sys.modules))"
    )
    shown = subprocess.run(
        [sys.executable, "-c", code, str(finished_run)], capture_output=True, text=True, check=True
    )
    assert "5 of 5 candidates trained" in shown.stdout
    assert shown.stdout.splitlines()[-1] == "set()"
