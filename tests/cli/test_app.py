"""Every command: help, exit codes, and what goes to standard output and standard error."""

from __future__ import annotations

import os
import pty
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
from background import Background, wait_for

from ir2search.cli.app import commands
from ir2search.runs.saved import saved_study
from ir2search.runs.storages import ENDED, open_storage

Command = Callable[..., "subprocess.CompletedProcess[str]"]
Begin = Callable[..., Background]
COMMANDS: dict[str, Any] = commands().commands

WRONG = {  # a wrong input of each command, and what its sentence names
    "init": (["taken.toml"], "taken.toml"),
    "studies": (["--jsn"], "--jsn"),
    "run": (["digit"], "did you mean 'digits'?"),
    "rerun": (["nowhere"], "nowhere"),
    "worker": (["nowhere"], "nowhere"),
    "runs": (["more"], "more"),
    "status": (["nowhere"], "nowhere"),
    "dashboard": (["nowhere"], "nowhere"),
    "report": (["nowhere"], "nowhere"),
    "show": (["nowhere"], "nowhere"),
    "open": (["nowhere"], "nowhere"),
    "compare": (["nowhere"], "nowhere"),
    "presets": (["more"], "more"),
    "cost": (["cifar-resnet21"], "did you mean 'cifar-resnet20'?"),
    "train": (["cifar-resnet20", "--data", "nowhere"], "nowhere"),
    "zoo": (["more"], "more"),
    "predict": (["digits-27", "a.png"], "did you mean 'digits-27k'?"),
    "evaluate": (["no", "--data", "no"], "no network 'no'"),
    "analyze": (["nowhere"], "nowhere"),
    "export": (["nowhere"], "nowhere"),
    "latency": (["cifar-resnet20", "--runtimes", "torhc"], "did you mean 'torch'?"),
    "doctor": (["--data"], "--data"),
    "trust": (["nowhere"], "nowhere"),
}


def test_every_command_is_in_the_table() -> None:
    assert set(WRONG) == set(COMMANDS)


@pytest.mark.parametrize("name", COMMANDS)
def test_wrong_input_is_one_sentence_and_exit_code_2(
    ir2search: Command, tmp_path: Path, name: str
) -> None:
    (tmp_path / "taken.toml").touch()
    arguments, named = WRONG[name]
    done = ir2search(name, *arguments)
    assert done.returncode == 2, done.stdout + done.stderr
    assert done.stdout == ""
    assert re.fullmatch(r"ir2search: [^\n]+\n", done.stderr)
    assert named in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["taken.toml"]


@pytest.mark.parametrize("name", COMMANDS)
def test_help_has_a_purpose_examples_and_json(ir2search: Command, name: str) -> None:
    shown = ir2search(name, "--help").stdout
    paragraphs = COMMANDS[name].help.split("\n\n")
    assert re.fullmatch(r"[A-Z].{10,95}\.", paragraphs[0]), "the first line gives the purpose"
    assert f"ir2search {name}" in shown.split("Examples:")[1]
    assert "--json" in shown
    defaults = [
        parameter.name
        for parameter in COMMANDS[name].params
        if parameter.default is not None
        and parameter.default is not False
        and not parameter.required
    ]
    assert shown.count("[default: ") == len(defaults)
    examples = re.findall(rf"^ +(ir2search {name}.*?) *$", shown, re.MULTILINE)
    assert examples, "they use the options of the command"
    options = set(re.findall(r"--[a-z]+", shown.split("Examples:")[1].split("Options")[1]))
    for example in examples:
        assert set(re.findall(r"--[a-z]+", example)) <= options


def test_paragraphs_of_help_fold_at_the_width_of_the_terminal(ir2search: Command) -> None:
    shown = re.sub(r" +\n", "\n", ir2search("run", "--help").stdout)
    assert "test images are read once" in " ".join(shown.split())
    assert " test\n" not in shown, "the source breaks the line there"


def test_help_lists_every_command(ir2search: Command) -> None:
    shown = ir2search("--help").stdout
    assert all(f" {command} " in shown for command in COMMANDS)
    bare = ir2search()
    assert bare.returncode == 0
    assert bare.stdout.strip() == shown.strip()
    assert bare.stderr == ""


def test_the_version_is_that_of_the_installed_package(ir2search: Command) -> None:
    done = ir2search("--version")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"ir2search {version('ir2search')}\n"


def test_the_package_runs_as_a_module() -> None:
    command = [sys.executable, "-m", "ir2search", "--help"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "Usage: python -m ir2search" in done.stdout


def test_an_unknown_command_suggests_a_similar_one(ir2search: Command) -> None:
    done = ir2search("stauts")
    assert done.returncode == 2
    assert done.stderr == "ir2search: no command 'stauts'; did you mean 'status'?\n"
    assert ir2search("--quick").stderr.startswith("ir2search: no such option: --quick")


def test_an_operating_system_error_is_exit_code_1(ir2search: Command, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    done = ir2search("init", "file/study.toml")
    assert done.returncode == 1
    assert re.fullmatch(r"ir2search: file: [^\n]+\n", done.stderr)


def test_ctrl_c_is_exit_code_130(begin: Begin, finished_run: Path, tmp_path: Path) -> None:
    """The command watches a run whose driver was killed: it has not ended."""
    folder = tmp_path / "quick"
    shutil.copytree(finished_run, folder)
    open_storage(folder, saved_study(folder), create=True).set_user_attr(ENDED, "")
    watching = begin("status", folder, "--watch")
    wait_for(lambda: "5 of 5 candidates trained" in watching.shown())
    watching.send_signal(signal.SIGINT)
    done = watching.ended()
    assert done.returncode == 130
    assert done.stderr == "ir2search: stopped; run the same command again to continue\n"


def test_output_in_a_pipe_has_no_colours(ir2search: Command, finished_run: Path) -> None:
    for arguments in (["status", finished_run], ["cost", "cifar-resnet20"], ["run", "--help"]):
        done = ir2search(*arguments)
        assert "\x1b" not in done.stdout + done.stderr
        assert done.stderr == ""


@pytest.mark.parametrize("no_color", [False, True])
def test_output_on_a_terminal_has_colours_without_no_color(no_color: bool) -> None:
    main, terminal = pty.openpty()
    unset = ("PY_COLORS", "FORCE_COLOR", "NO_COLOR")
    environment = {name: value for name, value in os.environ.items() if name not in unset}
    environment |= {"TERM": "xterm"} | ({"NO_COLOR": "1"} if no_color else {})
    command = [sys.executable, "-m", "ir2search.cli.app", "run", "--help"]
    subprocess.run(command, stdout=terminal, stderr=terminal, env=environment, check=True)
    os.close(terminal)
    shown = os.read(main, 100_000).decode(errors="ignore")  # a read may end inside a character
    os.close(main)
    assert "--trials" in re.sub(r"\x1b\[[0-9;]*m", "", shown)
    assert bool(re.search(r"\x1b\[[0-9;]*3[0-7]", shown)) is not no_color
