"""An unexpected error: one sentence, a log file with the traceback, and exit code 1."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import ir2search as ir
from ir2search.cli.app import main
from ir2search.study import survey

Command = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The user's cache folder; `ir2search presets` fails unexpectedly."""

    def fail() -> Any:
        raise KeyError("missing\nsecond line")

    monkeypatch.setattr(survey, "survey_presets", fail)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_an_unexpected_error_is_one_sentence_that_names_a_log_file(
    ir2search: Command, cache: Path
) -> None:
    done = ir2search("presets", "--json")
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.startswith("ir2search: unexpected KeyError: ")
    assert done.stderr.count("\n") == 1
    (log,) = cache.rglob("*.log")
    assert str(log) in done.stderr
    written = log.read_text()
    assert "ir2search presets --json" in written
    assert "Traceback" in written
    assert "in fail" in written


@pytest.mark.parametrize("arguments", [("-q", "presets", "-v"), ("presets", "-v", "-q")])
def test_quiet_and_verbose_exclude_each_other(
    ir2search: Command, arguments: tuple[str, ...]
) -> None:
    done = ir2search(*arguments)
    assert done.returncode == 2
    assert re.search(r"does not go with --(quiet|verbose); see .*--help\n$", done.stderr)


@pytest.mark.parametrize("arguments", [("-v", "presets"), ("presets", "--verbose")])
def test_verbose_shows_the_traceback(
    ir2search: Command, cache: Path, arguments: tuple[str, str]
) -> None:
    done = ir2search(*arguments)
    assert done.returncode == 1
    assert "Traceback" in done.stderr
    assert done.stderr.splitlines()[-1].startswith("ir2search: unexpected KeyError")


def test_without_a_folder_for_logs_the_sentence_names_the_option(
    ir2search: Command, cache: Path
) -> None:
    cache.touch()
    done = ir2search("presets")
    assert done.returncode == 1
    assert done.stderr.endswith("; see --verbose\n")


def test_an_input_error_writes_no_log(ir2search: Command, cache: Path) -> None:
    done = ir2search("cost", "nowhere.json")
    assert done.returncode == 2
    assert not cache.exists()


FAILING = """
from ir2search.training.loop import EpochRunner

def fail(runner, *_, **__):
    raise LookupError("no weights")

EpochRunner.run = fail
"""


def test_a_run_whose_trials_all_fail_ends_with_exit_code_1_and_names_the_traceback(
    ir2search: Command,
    quick: dict[str, Any],
    write_study: Callable[[dict[str, Any]], Path],
    tmp_path: Path,
) -> None:
    (tmp_path / "failing.py").write_text(FAILING)
    file = write_study({**quick, "trials": 2, "modules": ["failing.py"]})
    done = ir2search("run", file, "--workers", "1", "--device", "cpu")
    assert done.returncode == 1
    number = max(int(each.parent.name) for each in tmp_path.glob("runs/quick/trials/*/error.txt"))
    assert done.stderr.splitlines()[-1] == (
        f"ir2search: runs/quick: all 2 trainings failed; trial {number}: LookupError: no weights; "
        f"see trials/{number}/error.txt; solve that and run again with --retry-failed"
    )
    assert "0 of 2 candidates trained" in done.stdout


@pytest.mark.parametrize("as_json", [True, False])
@pytest.mark.parametrize("closed", ["stdout", "stderr", "pipe"])
def test_a_stream_that_the_caller_has_closed_costs_no_result_and_no_traceback(
    forked: Callable[..., subprocess.CompletedProcess[str]],
    quick: dict[str, Any],
    write_study: Callable[[dict[str, Any]], Path],
    tmp_path: Path,
    closed: str,
    as_json: bool,
) -> None:
    def work() -> None:
        if closed == "pipe":
            reader, writer = os.pipe()
            os.close(reader)
            os.dup2(writer, 1)
        else:
            setattr(sys, closed, None)
        main()

    file = write_study({**quick, "trials": 1})
    command = ["ir2search", "run", str(file), *(["--json"] if as_json else [])]
    done = forked(work, command)
    assert done.returncode == (1 if closed == "pipe" else 0)
    assert "Traceback" not in done.stderr
    assert "unexpected" not in done.stderr
    assert ir.status(tmp_path / "runs" / "quick").has_ended
