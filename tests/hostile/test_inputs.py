"""Hostile study files, networks, weights, images, runs and options: one sentence each, in bounds.

Each command may take 4 GB of address space more than its process has, and 20 seconds of its CPU.
"""

from __future__ import annotations

import importlib
import resource
import shutil
import signal
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from conftest import write_figures_once
from forks import CommandServer
from hostile.cases import Case, all_cases, study

SPACE = 4 << 30  # bytes
SECONDS = 20  # of the CPU
WAITING = 100  # seconds; a busy machine makes a command wait, and so does a pipe
# modules that these commands import, beside those that all tests share
IMPORTED = ("ir2search.export.trial", "ir2search.latency.compare", "pyarrow.parquet")
TRIAL = 0  # a trained trial of the finished run
CASES = all_cases(TRIAL)


def within_limits() -> None:
    from ir2search.cli.app import main

    # What the process has already is a part of its address space.
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + SPACE, hard))
    for number in (signal.SIGALRM, signal.SIGPROF):
        signal.signal(number, signal.SIG_DFL)
    signal.alarm(WAITING)
    signal.setitimer(signal.ITIMER_PROF, SECONDS)
    try:
        main()
    finally:
        signal.alarm(0)
        signal.setitimer(signal.ITIMER_PROF, 0)


@pytest.fixture(scope="module")
def server() -> Iterator[CommandServer]:
    for module in IMPORTED:
        importlib.import_module(module)
    server = CommandServer(within_limits)
    with pytest.MonkeyPatch.context() as patch:
        write_figures_once(patch)
        yield server
    server.close()


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
    case: Case, prepare: Callable[[Case], list[str]], server: CommandServer, tmp_path: Path
) -> None:
    done = server.run(prepare(case), tmp_path)
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
