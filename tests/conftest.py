from __future__ import annotations

import atexit
import functools
import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
import pytest
import tomli_w
from background import Background
from forks import run_forked
from hypothesis import HealthCheck, settings
from optuna.trial import TrialState

if TYPE_CHECKING:
    from playwright.sync_api import Browser

# Each pytest worker has one core. Processes that tests start inherit this.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # some tests import torch first
os.environ.setdefault("MPLBACKEND", "agg")
# What the user trusts is kept there. Tests read and write a folder of their own.
_STATE = tempfile.mkdtemp(prefix="ir2search-state-")
atexit.register(shutil.rmtree, _STATE, ignore_errors=True)
os.environ["XDG_STATE_HOME"] = _STATE

# No limits on time: a busy machine must not make a test fail.
settings.register_profile("tests", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("tests")
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


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Slow tests are first in a worker of xdist, so that workers end at about the same time."""
    if hasattr(config, "workerinput"):
        items.sort(key=lambda item: item.get_closest_marker("slow") is None)


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
    from ir2search.study.loading import parse_study

    folder = tmp_path_factory.mktemp("runs") / "quick"
    ir.run(parse_study(QUICK, "quick.toml"), folder, device="cpu")
    return folder


@pytest.fixture(scope="session", autouse=True)
def brief_timings() -> Iterator[None]:
    """Networks are timed for a moment only; tests/latency/test_clock.py tests the warm-up."""
    from ir2search.latency import clock, timing

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(clock, "MIN_WARM_UP", 0.0)
        patch.setattr(timing, "SECONDS", 0.05)
        yield


@pytest.fixture(scope="session", autouse=True)
def digits_decoded_once() -> Iterator[None]:
    """Each run has a cache of its own, but the digits are the same: decode them once."""
    from ir2search.data import dataset

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(dataset, "read_digits", functools.cache(dataset.read_digits))
        yield


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


def write_figures_once(patch: pytest.MonkeyPatch, *more: str) -> None:
    """Write each figure as .svg and more, for one width only, until the patch is undone."""
    formats = {".svg": {"Date": None}} | {suffix: {} for suffix in more}
    patch.setattr("ir2search.plots.saving.FORMATS", formats)
    patch.setattr("ir2search.plots.saving.WIDTHS", {"": 7.0})


@pytest.fixture
def figures_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Write each figure once: to draw six files of each takes most of the time of a report."""
    write_figures_once(monkeypatch)


Command = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Chromium; a test that uses it is marked `browsers.needs_chromium`."""
    from browsers import ARGUMENTS, CHROMIUM
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield started
        started.close()


@pytest.fixture
def forked(tmp_path: Path) -> Command:
    """Call a function in a fork of this process, in the test's folder or in another one."""

    def call(
        work: Callable[[], object], command: list[str], folder: Path | None = None
    ) -> subprocess.CompletedProcess[str]:
        return run_forked(work, command, folder or tmp_path)

    return call


@pytest.fixture
def ir2search(forked: Command) -> Command:
    """Run the command in the test's folder."""

    def call(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
        from ir2search.cli.app import main

        return forked(main, ["ir2search", *map(str, arguments)])

    return call


@pytest.fixture
def begin(tmp_path: Path) -> Iterator[Callable[..., Background]]:
    """Begin a command in the test's folder, which runs beside the test."""
    begun: list[Background] = []

    def call(*arguments: str | Path) -> Background:
        begun.append(Background(list(map(str, arguments)), tmp_path))
        return begun[-1]

    yield call
    for each in begun:
        each.close()


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
