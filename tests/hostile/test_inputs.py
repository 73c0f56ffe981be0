"""Hostile study files, networks, weights, images, runs and options: one sentence each, in bounds.

Each command may take 4 GB of address space more than its process has, and 20 seconds.
"""

from __future__ import annotations

import importlib
import resource
import shutil
import signal
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from hostile.cases import Case, all_cases, study

Forked = Callable[..., "subprocess.CompletedProcess[str]"]

SPACE = 4 << 30  # bytes
SECONDS = 20
# modules that these commands import, beside those that all tests share
IMPORTED = ("ir2search.export.trial", "ir2search.latency.compare", "pyarrow.parquet")
TRIAL = 0  # a trained trial of the finished run
CASES = all_cases(TRIAL)


def within_limits() -> None:
    from ir2search.cli.app import main

    # What the tests' process has already is a part of the fork's address space.
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limit = pages * resource.getpagesize() + SPACE
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.alarm(SECONDS)
    main()


def write(place: Path, content: Any) -> None:
    place.parent.mkdir(parents=True, exist_ok=True)
    if place.is_dir() and not place.is_symlink():
        shutil.rmtree(place)
    place.unlink(missing_ok=True)
    if callable(content):
        content(place)
    else:
        place.write_bytes(content if isinstance(content, bytes) else content.encode())


@pytest.fixture
def prepare(
    tmp_path: Path, finished_run: Path, quick: dict[str, Any]
) -> Callable[[Case], list[str]]:
    """Write the files of a case; return its command."""

    def make(case: Case) -> list[str]:
        run = "runs/quick"
        if any("{run}" in text for text in (*case.command, *case.files)):
            shutil.copytree(finished_run, tmp_path / run)
        for name, content in case.files.items():
            text = study(quick, content) if isinstance(content, Mapping) else content
            write(tmp_path / name.replace("{run}", run), text)
        return ["ir2search", *(argument.replace("{run}", run) for argument in case.command)]

    return make


@pytest.mark.parametrize("case", CASES, ids=lambda case: ascii(case.name))
def test_a_hostile_input_ends_in_one_sentence(
    case: Case, prepare: Callable[[Case], list[str]], forked: Forked
) -> None:
    for module in IMPORTED:
        importlib.import_module(module)
    done = forked(within_limits, prepare(case))
    assert done.returncode in case.codes, done.stderr[-2000:]
    assert "Traceback" not in done.stderr
    assert "the traceback is in" not in done.stderr
    assert all(line.isprintable() for line in done.stderr.split("\n"))
    assert len(done.stderr) < 3000
    assert case.part in done.stderr
    if done.returncode == 2:
        assert done.stderr.splitlines()[-1].startswith("ir2search: ")


def test_the_names_of_cases_differ() -> None:
    assert len({case.name for case in CASES}) == len(CASES)
