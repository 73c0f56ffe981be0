from __future__ import annotations

import signal
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from background import Background, wait_for

import ir2search as ir


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_same_command_continues_after_ctrl_c(
    begin: Callable[..., Background],
    ir2search: Callable[..., subprocess.CompletedProcess[str]],
    write_study: Callable[[dict[str, Any]], Path],
    quick: dict[str, Any],
    tmp_path: Path,
    number: signal.Signals,
) -> None:
    quick["recipe"]["epochs"] = 8
    command = ("run", write_study({**quick, "trials": 1}), "--runs", tmp_path)
    curve = tmp_path / "quick" / "trials" / "0" / "curve.jsonl"
    run = begin(*command)
    wait_for(lambda: curve.exists() or run.poll() is not None)
    run.send_signal(number)
    stopped = run.ended()
    assert stopped.returncode == 130
    said = stopped.stderr.splitlines()
    assert said[-1] == "ir2search: stopped; run the same command again to continue"
    assert "Traceback" not in stopped.stderr
    kept = curve.read_text()
    assert 1 <= len(kept.splitlines()) < 8
    assert ir.status(tmp_path / "quick").counts["unfinished"] == 1
    done = ir2search(*command)
    assert done.returncode == 0, done.stderr
    assert "1 of 1 candidates trained" in done.stdout
    assert curve.read_text().startswith(kept), "no epoch is trained again"
