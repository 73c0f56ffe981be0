from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import ir2search as ir

PROGRAM = Path(sys.executable).with_name("ir2search")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_same_command_continues_after_ctrl_c(
    write_study: Callable[[dict[str, Any]], Path],
    quick: dict[str, Any],
    tmp_path: Path,
    number: signal.Signals,
) -> None:
    quick["recipe"]["epochs"] = 8
    command = [PROGRAM, "run", str(write_study({**quick, "trials": 1})), "--runs", str(tmp_path)]
    curve = tmp_path / "quick" / "trials" / "0" / "curve.jsonl"
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        while not curve.exists() and process.poll() is None:
            time.sleep(0.01)
        process.send_signal(number)
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert errors.splitlines()[-1] == "ir2search: stopped; run the same command again to continue"
    assert "Traceback" not in errors
    kept = curve.read_text()
    assert 1 <= len(kept.splitlines()) < 8
    assert ir.status(tmp_path / "quick").counts["unfinished"] == 1
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "1 of 1 candidates trained" in done.stdout
    assert curve.read_text().startswith(kept), "no epoch is trained again"
