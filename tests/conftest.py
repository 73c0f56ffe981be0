from __future__ import annotations

import atexit
import importlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO, NoReturn

import pandas as pd
import pytest
import tomli_w
from hypothesis import settings
from optuna.trial import TrialState

# Each pytest worker has one core. Processes that tests start inherit this.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # some tests import torch first
os.environ.setdefault("MPLBACKEND", "agg")
# What the user trusts is kept there. Tests read and write a folder of their own.
_STATE = tempfile.mkdtemp(prefix="ir2search-state-")
atexit.register(shutil.rmtree, _STATE, ignore_errors=True)
os.environ["XDG_STATE_HOME"] = _STATE

settings.register_profile("thorough", max_examples=5000)  # by hand: --hypothesis-profile=thorough

CIFAR10 = Path(__file__).parents[2] / "shared" / "data" / "cifar10"

# A study of seconds: real digits, networks of two channels, two epochs.
QUICK: dict[str, Any] = {
    "name": "quick",
    "trials": 5,
    "sampler": "random",
    "objectives": ["accuracy", "ops"],
    "data": {"source": "digits", "size": 8, "validation": 0.2},
    "space": {
        "depth": 8,
        "width": [0.125, 0.25],
        "threshold": [0.0, 0.9],
        "fusion": ["dense", "compact"],
        "taps": {"stem": [True, False], "stage1": [True, False]},
    },
    "recipe": {
        "epochs": 2,
        "batch_size": 128,
        "optimizer": "adamw",
        "lr": 0.02,
        "crop_padding": 1,
        "flip": False,
    },
}


@pytest.fixture(scope="session")
def cifar10_folder() -> Path:
    """Real CIFAR-10 as parquet files, if they are beside this checkout."""
    if not CIFAR10.is_dir():
        pytest.skip(f"needs CIFAR-10 as parquet in {CIFAR10}")
    return CIFAR10


@pytest.fixture
def quick() -> dict[str, Any]:
    """The values of a study file that takes seconds; a test may change them."""
    return {key: dict(value) if isinstance(value, dict) else value for key, value in QUICK.items()}


@pytest.fixture
def write_study(tmp_path: Path) -> Callable[[dict[str, Any]], Path]:
    """Write values as a study file in the test's folder."""

    def write(values: dict[str, Any]) -> Path:
        file = tmp_path / f"{values['name']}.toml"
        file.write_text(tomli_w.dumps(values))
        return file

    return write


@pytest.fixture(scope="session")
def finished_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a quick study that ran to its end; tests only read it."""
    import ir2search as ir
    from ir2search.study.schema import parse_study

    folder = tmp_path_factory.mktemp("runs") / "quick"
    ir.run(parse_study(QUICK, "quick.toml"), folder, device="cpu")
    return folder


@pytest.fixture(scope="session")
def fail_trial() -> Callable[[Path, int, str], None]:
    """Change the journal of a run: a trial has failed, for a given reason."""

    def change(folder: Path, number: int, reason: str) -> None:
        file = folder / "study.journal"
        logs = [json.loads(line) for line in file.read_text().splitlines()]
        for log in logs:
            if log.get("trial_id") == number and "state" in log:
                log |= {"state": TrialState.FAIL.value, "values": None}
            if log.get("trial_id") == number and "outcome" in log.get("user_attr", {}):
                log["user_attr"]["outcome"] = reason
        file.write_text("".join(json.dumps(log) + "\n" for log in logs))

    return change


@pytest.fixture
def no_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Write no figures: drawing takes most of the time of a small analysis."""
    monkeypatch.setattr("ir2search.information.analysis.write_figures", lambda *_: None)


# Modules that most commands import.
IMPORTED = (
    "ir2search.cli.show_networks",
    "ir2search.cli.show_runs",
    "ir2search.information.analysis",
    "ir2search.report.page",
    "ir2search.search.session",
    "ir2search.zoo.single",
)
Command = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def forked(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Call a function in a fork of this process, in a folder; return its output and exit code.

    A fork has already imported what commands import, which takes most of their time. `test_imports`
    tests the start of commands.
    """

    def call(
        work: Callable[[], object], command: list[str], folder: Path | None = None
    ) -> subprocess.CompletedProcess[str]:
        with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
            child = _fork(work, command, folder or tmp_path, out, err)
            code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
            said = [_text(stream) for stream in (out, err)]
        return subprocess.CompletedProcess(command, code, *said)

    return call


@pytest.fixture
def ir2search(forked: Command) -> Command:
    """Run the command in the test's folder."""

    def call(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
        from ir2search.cli.app import main

        return forked(main, ["ir2search", *map(str, arguments)])

    return call


def _fork(
    work: Callable[[], object], command: list[str], folder: Path, out: BinaryIO, err: BinaryIO
) -> int:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about threads: those of pytest do no harm
        for module in IMPORTED:
            importlib.import_module(module)
        child = os.fork()
    if child:
        return child
    try:
        os.chdir(folder)
        _become(work, command, out, err)
    finally:
        os._exit(70)


def _become(
    work: Callable[[], object], command: list[str], out: BinaryIO, err: BinaryIO
) -> NoReturn:
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(out.fileno(), 1)
    os.dup2(err.fileno(), 2)
    sys.stdout, sys.stderr = (os.fdopen(number, "w", closefd=False) for number in (1, 2))
    sys.argv = command
    warnings.resetwarnings()
    warnings.simplefilter("ignore")
    code = 0
    try:
        work()
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        import traceback

        traceback.print_exc()
        code = 1
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def _text(stream: BinaryIO) -> str:
    stream.seek(0)
    return stream.read().decode()


@pytest.fixture
def found() -> Callable[[Path], pd.DataFrame]:
    """The results of a run, in an order that does not depend on time. All trials have ended."""

    def read(folder: Path) -> pd.DataFrame:
        from ir2search import trials

        table = trials(folder)
        assert not table["state"].isin(["unfinished", "waiting"]).any()
        trained = table[table["state"] == "trained"].set_index("candidate_id").sort_index()
        assert trained.index.is_unique
        for number, epochs in zip(trained["number"], trained["epochs"], strict=True):
            curve = pd.read_json(folder / f"trials/{number}/curve.jsonl", lines=True)
            assert list(curve["epoch"]) == list(range(1, epochs + 1))
        return trained[["accuracy", "test_accuracy", "ops", "best_epoch", "epochs"]]

    return read


@pytest.fixture
def same(found: Callable[[Path], pd.DataFrame]) -> Callable[[Path, Path], None]:
    """Check that two runs found the same.

    The sampler of `quick` is random: its proposals do not depend on the order of results.
    """

    def check(one: Path, other: Path) -> None:
        pd.testing.assert_frame_equal(found(one), found(other), check_dtype=False)

    return check
