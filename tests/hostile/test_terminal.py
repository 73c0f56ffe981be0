"""Names that are not ours reach a terminal as text: no control sequence, no markup, cut if long."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ir2search.latency import Latency
from ir2search.latency.compare import LayerTime

Command = Callable[..., "subprocess.CompletedProcess[str]"]
Write = Callable[[dict[str, Any]], Path]

MARKUP = "[/nothing]"
NAME = f"{MARKUP}\x1b]0;taken\x07\x1b[2J\u202e\nir2search: all is well"
FILE = "[bold][link=x]" + NAME.replace("/", "")  # as a part of a path
SHOWN = rf"{MARKUP}\x1b]0;taken\x07\x1b[2J\u202e\nir2search: all is well"
LONG = 200_000  # a study file has at most 256 KiB


def check(done: subprocess.CompletedProcess[str], *parts: str, code: int = 2) -> None:
    assert done.returncode == code, done.stderr[-2000:]
    assert "Traceback" not in done.stderr
    if code:
        assert done.stderr.startswith("ir2search: ")
        assert done.stderr.count("\n") == 1, done.stderr
        assert done.stdout == ""
    for line in (done.stdout + done.stderr).split("\n"):
        assert line.isprintable(), ascii(line)
        assert len(line) < 1100
    for part in parts:
        assert part in done.stdout + done.stderr


def test_the_name_of_a_study(ir2search: Command) -> None:
    check(ir2search("run", NAME), r"\x1b]0;taken")
    check(ir2search("run", MARKUP), MARKUP)


def test_the_name_of_a_command_and_of_an_option(ir2search: Command) -> None:
    check(ir2search(NAME), r"\x1b]0;taken")
    check(ir2search("run", f"--{NAME}"))


@pytest.mark.parametrize("suffix", [".json", ".toml"])
def test_the_name_of_a_file(ir2search: Command, tmp_path: Path, suffix: str) -> None:
    file = tmp_path / "a[" / f"nothing]{FILE}{suffix}"
    file.parent.mkdir()
    file.write_text("{")
    command = {".json": "cost", ".toml": "run"}[suffix]
    check(ir2search(command, file), "[/nothing][bold][link=x]", r"\x1b]0;taken")


def test_a_key_and_a_value_of_a_study_file(
    ir2search: Command, write_study: Write, quick: dict[str, Any]
) -> None:
    check(ir2search("run", write_study({**quick, NAME: 1})), SHOWN)
    space = {**quick["space"], "fusion": [NAME]}
    check(ir2search("run", write_study({**quick, "space": space})), "fusion")


@pytest.mark.parametrize("where", ["key", "value", "list", "inner key"])
def test_a_long_value_is_cut(
    ir2search: Command, write_study: Write, quick: dict[str, Any], where: str
) -> None:
    long = "x" * LONG
    changed = {
        "key": {long: 1},
        "value": {"recipe": {"epochs": long}},
        "list": {"recipe": {"epochs": [0] * (LONG // 10)}},
        "inner key": {"recipe": {long: 1}},
    }[where]
    check(ir2search("run", write_study({**quick, **changed})), "...")


def test_a_class_folder(
    ir2search: Command, tmp_path: Path, write_study: Write, quick: dict[str, Any]
) -> None:
    for split in ("train", "test"):
        folder = tmp_path / "data" / split / FILE
        folder.mkdir(parents=True)
        (folder / "1.png").write_bytes(b"no image")
    study = write_study({**quick, "data": {"source": "folder", "validation": 0.5}})
    check(ir2search("run", study, "--data", tmp_path / "data"), r"\x1b]0;taken")


@pytest.mark.usefixtures("figures_once")
def test_the_folder_of_a_run(ir2search: Command, tmp_path: Path, finished_run: Path) -> None:
    folder = shutil.copytree(finished_run, tmp_path / FILE)
    check(ir2search("status", folder), r"\x1b]0;taken", code=0)
    check(ir2search("report", folder, "-v"), "INFO", r"\x1b]0;taken", code=0)
    check(ir2search("status", folder / "none"), r"\x1b]0;taken")


def test_a_traceback(ir2search: Command, tmp_path: Path) -> None:
    done = ir2search("status", tmp_path / FILE, "-v")
    assert "Traceback" in done.stderr
    assert all(line.isprintable() for line in done.stderr.split("\n"))


def test_a_layer_of_a_candidate(ir2search: Command, tmp_path: Path) -> None:
    file = tmp_path / "a.json"
    file.write_text(json.dumps({"backbone": NAME, "depth": 8}))
    check(ir2search("cost", file), r"\x1b]0;taken")


def test_a_node_of_a_packed_file(capsys: pytest.CaptureFixture[str]) -> None:
    from ir2search.cli.show_devices import show_latency

    layer = LayerTime(NAME, MARKUP, 1, 1, 1e-6)
    show_latency(Latency(MARKUP, (), (layer,)), layers=True, as_json=False)
    out = capsys.readouterr().out
    assert all(line.isprintable() for line in out.split("\n"))
    assert MARKUP in out


def test_an_error_of_a_trial_in_the_progress(
    capsys: pytest.CaptureFixture[str], quick: dict[str, Any]
) -> None:
    from ir2search.search import RunProgress
    from ir2search.study.loading import parse_study

    with RunProgress() as progress:
        progress.on_start(parse_study(quick, "quick.toml"), [], [])
        progress.on_trial_end(0, "failed", NAME, None)
    assert capsys.readouterr().err == f"trial 0: failed: {SHOWN}\n"
