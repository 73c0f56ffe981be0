from __future__ import annotations

import multiprocessing
import os
from pathlib import Path
from typing import Any

import pytest

import ir2search as ir
from ir2search.errors import InputError
from ir2search.runs.run import Run
from ir2search.study.schema import parse_study
from ir2search.training import EpochResult, accuracy

SHARED = {"supernet": {"epochs": 2, "random": 1, "calibration": 256}}


class Remembering(ir.RunObserver):
    def __init__(self) -> None:
        self.epochs: list[int] = []

    def on_supernet_epoch(self, result: EpochResult, epochs: int) -> None:
        self.epochs.append(result.epoch)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from conftest import QUICK

    folder = tmp_path_factory.mktemp("runs") / "run"
    ir.run(parse_study({**QUICK, **SHARED}, "a.toml"), folder, device="cpu")
    return folder


def test_candidates_inherit_what_tables_say(finished: Path) -> None:
    table = ir.trials(finished)
    trained = table[table["state"] == "trained"]
    assert len(trained) == 5
    assert set(trained["how"]) == {"inherited"}
    assert set(trained["outcome"]) == {"inherited from the supernet"}
    assert set(trained["epochs"]) == {0}, "no candidate was trained by itself"
    assert ir.front(finished)["test_accuracy"].notna().all()


def test_the_network_of_a_trial_has_the_accuracy_of_the_table(finished: Path) -> None:
    run = Run.open(finished)
    data = run.data()
    for _, row in run.front().iterrows():
        network = run.network(int(row["number"]))
        assert accuracy(network, data, data.validation) == row["accuracy"]
        assert accuracy(network, data, data.read_test()) == row["test_accuracy"]


def test_the_threshold_is_not_searched(finished: Path) -> None:
    assert set(ir.trials(finished)["threshold"].dropna()) == {0.0}


def test_a_run_continues_the_supernet_where_it_stopped(
    quick: dict[str, Any], tmp_path: Path
) -> None:
    class Stopping(Remembering):
        def on_supernet_step(self, progress: float, epochs: int) -> None:
            if progress > 1:
                os.kill(os.getpid(), 9)

    study = parse_study({**quick, **SHARED, "trials": 1}, "a.toml")
    child = multiprocessing.get_context("fork").Process(
        target=ir.run,
        args=(study, tmp_path / "run"),
        kwargs={"device": "cpu", "observer": Stopping()},
    )
    child.start()
    child.join()
    assert child.exitcode == -9
    observer = Remembering()
    status = ir.run(study, tmp_path / "run", device="cpu", observer=observer)
    assert observer.epochs == [2]
    assert status.has_ended


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"rungs": {}}, r"\[rungs\] does not go with \[supernet\]; leave one"),
        ({"warm_start": {"epochs": 1}}, r"\[warm_start\] does not go with \[supernet\]"),
        ({"recipe": "imagenet-resnet18-D"}, r"\[supernet\] needs a recipe of one stage"),
        (
            {"space": {"estimator": ["polynomial", "tanh"]}},
            r"a.toml: \[space\] estimator: the networks of a supernet share",
        ),
        (
            {"recipe": {"epochs": 2, "lr": [0.1, 0.2]}},
            r"lr: the networks of a supernet share their weights",
        ),
        ({"supernet": {"epoch": 3}}, r"\[supernet\] epoch: there is no such key"),
    ],
)
def test_a_study_that_cannot_share_weights_is_refused(
    quick: dict[str, Any], wrong: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        parse_study({**quick, **SHARED, **wrong}, "a.toml")


def test_too_few_images_are_refused_before_anything_is_written(
    quick: dict[str, Any], tmp_path: Path
) -> None:
    study = parse_study({**quick, "supernet": {"epochs": 1, "calibration": 100_000}}, "a.toml")
    with pytest.raises(InputError, match=r"calibration: must be at most the \d+ training images"):
        ir.run(study, tmp_path / "run", device="cpu")
    assert not (tmp_path / "run").exists()
