"""Damaged files of a run: the report names the file and the field in one sentence."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Command = Callable[..., "subprocess.CompletedProcess[str]"]
ROW = {"epoch": 1, "loss": 1.0, "validation_accuracy": 0.5, "restricted_share": 0.0}
ROW |= {"lr": 0.1, "seconds": 1.0}
SESSION = dict.fromkeys(("started", "python", "platform", "cpu", "device"), "x")
SESSION |= {"command": ["x"], "threads": 1, "gpu": None, "versions": {}}
LAYER = {"name": "stem", "flops": 1, "bops": 1, "memory_bytes": 1}
NAN, INF = float("nan"), float("inf")


def session(**changed: object) -> dict[str, Any]:
    return {"sessions": [SESSION | changed]}


def layer(**changed: object) -> dict[str, Any]:
    return {"layers": [LAYER | changed]}


@pytest.mark.usefixtures("figures_once")
@pytest.mark.parametrize(
    ("name", "value", "part"),
    [
        ("environment.json", [], ""),
        ("environment.json", {"sessions": "x"}, "sessions"),
        ("environment.json", {"sessions": [{}]}, "sessions.0.started"),
        ("environment.json", session(command=3), "sessions.0.command"),
        ("environment.json", session(command=[3]), "sessions.0.command.0"),
        ("environment.json", session(versions=[]), "sessions.0.versions"),
        ("environment.json", session(cpu="\ud800"), ""),
        ("cost.json", [], ""),
        ("cost.json", {"layers": [1]}, "layers.0"),
        ("cost.json", layer(flops=NAN), "NaN"),
        ("cost.json", layer(flops=INF), "Infinity"),
        ("cost.json", layer(name=[1]), "layers.0.name"),
        ("curve.jsonl", ROW | {"validation_accuracy": NAN}, "NaN"),
        ("curve.jsonl", ROW | {"validation_accuracy": "x"}, "0.validation_accuracy"),
        ("curve.jsonl", {"a": 1}, "0.epoch"),
        ("curve.jsonl", 1, "0"),
        ("test.json", {"test_accuracy": "x"}, "test_accuracy"),
        ("test.json", [], ""),
        ("seeds/1/result.json", {"accuracy": [1]}, "accuracy"),
    ],
)
def test_a_damaged_file_of_a_run(
    ir2search: Command, finished_run: Path, tmp_path: Path, name: str, value: object, part: str
) -> None:
    folder = shutil.copytree(finished_run, tmp_path / "quick")
    place = folder if name == "environment.json" else max(folder.glob("trials/*/cost.json")).parent
    file = place / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(value) + "\n")
    done = ir2search("report", folder)
    assert done.returncode == 2, done.stderr
    assert done.stderr.count("\n") == 1
    assert done.stderr.startswith(f"ir2search: {file}: ")
    assert part in done.stderr
