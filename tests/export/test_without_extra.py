"""Behaviour without the packages of the extra ``export``."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import ir2search as ir
from ir2search.latency.other_runtimes import OTHER_RUNTIMES

MISSING = ("onnx", "onnxruntime")
PROGRAM = f"""
import json, sys
sys.modules.update(dict.fromkeys({MISSING!r}))  # imports of these fail now

import ir2search as ir
from ir2search.plots import saving

saving.FORMATS = {{".svg": {{"Date": None}}}}  # drawing takes most of the time of a report
folder, study, packed = sys.argv[1:]
said = {{}}

def expect_error(name, call):
    try:
        call()
    except ir.IR2SearchError as error:
        said[name] = str(error)

ir.run(ir.load_study(study), folder, device="cpu")
ir.cost(ir.Candidate())
ir.status(folder)
ir.write_report(folder)
tiny = ir.Candidate(depth=8, width=0.25, image=(1, 8, 8))
expect_error("safetensors", lambda: ir.export_trial(folder, "best", "safetensors"))
ir.export_trial(folder, "best", "packed")
expect_error("onnx", lambda: ir.export_trial(folder, "best", "onnx"))
expect_error("onnx_model", lambda: ir.onnx_model(ir.build(tiny).eval(), tiny.image))
ir.load_packed(packed)
ir.latency(tiny, runtimes=["runtime"], seconds=0.01)
for way in {tuple(OTHER_RUNTIMES)[:2]!r}:
    expect_error(way, lambda: ir.latency(tiny, runtimes=[way], seconds=0.01))
print(json.dumps(said))
"""


@pytest.mark.slow
def test_a_search_works_without_the_extra_and_an_export_says_what_to_install(
    finished_run: Path,
    quick: dict[str, Any],
    write_study: Callable[[dict[str, Any]], Path],
    tmp_path: Path,
) -> None:
    packed = ir.export_trial(finished_run, "best", file=tmp_path / "best.packed").file
    quick["trials"], quick["recipe"]["epochs"] = 1, 1
    study = write_study(quick)
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, tmp_path / "run", study, packed],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout.splitlines()[-1])
    advice = " is not installed; pip install 'ir2search[export]'"
    assert said == {
        "onnx": f"onnx{advice}",
        "onnx_model": f"onnx{advice}",
        "onnxruntime": f"onnx{advice}",
        "int8": f"onnx{advice}",
    }
