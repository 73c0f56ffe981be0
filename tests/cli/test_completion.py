from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from ir2search.cli.completion import network_names, run_folders, study_names


def test_tab_completes_studies_runs_and_networks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, finished_run: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("mine.toml").touch()
    Path("runs").mkdir()
    (tmp_path / "runs" / "quick").symlink_to(finished_run)
    assert study_names("dig") == ["digits", "digits-random", "digits-supernet"]
    assert study_names("m") == ["mine.toml"]
    assert run_folders("") == ["runs/", "quick"]
    assert run_folders("q") == ["quick"]
    assert run_folders("runs/q") == ["runs/quick"]
    assert network_names("cifar-r") == ["cifar-resnet20", "cifar-resnet18"]


def test_tab_completes_in_the_shell() -> None:
    environment = {"_IR2SEARCH_COMPLETE": "complete_bash", "COMP_WORDS": "ir2search run dig"}
    shown = subprocess.run(
        [Path(sys.executable).with_name("ir2search")],
        capture_output=True,
        text=True,
        env={**environment, "COMP_CWORD": "2", "PYTHONPATH": ":".join(sys.path)},
        check=False,
    )
    assert shown.stdout.split() == ["digits", "digits-random", "digits-supernet"], shown.stderr
