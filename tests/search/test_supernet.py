from __future__ import annotations

import importlib
import json
import multiprocessing
import os
import re
import shutil
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from conftest import QUICK, write_figures_once

import ir2search as ir
from ir2search.errors import InputError
from ir2search.runs.run import Run
from ir2search.seeds import training_seed
from ir2search.study.loading import parse_study
from ir2search.study.schema import Study
from ir2search.training import EpochResult, accuracy, load_network

SHARED = {"supernet": {"epochs": 2, "random": 1, "calibration": 256}}


pytestmark = pytest.mark.xdist_group("search of supernet")  # its fixtures are made once


class Remembering(ir.RunObserver):
    def __init__(self) -> None:
        self.epochs: list[int] = []

    def on_supernet_epoch(self, result: EpochResult, epochs: int) -> None:
        self.epochs.append(result.epoch)


def study_of(**changed: Any) -> Study:
    return parse_study({**QUICK, "supernet": {**SHARED["supernet"], **changed}}, "a.toml")


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "run"
    ir.run(study_of(), folder, device="cpu")
    return folder


@pytest.fixture(scope="module")
def fine_tuned(finished: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The finished run, continued with a fine-tuning of its front."""
    folder = tmp_path_factory.mktemp("runs") / "run"
    shutil.copytree(finished, folder)
    ir.run(study_of(members="fine-tuned", finetune=2), folder, device="cpu")
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
    check_networks(Run.open(finished))


def test_the_threshold_is_not_searched(finished: Path) -> None:
    assert set(ir.trials(finished)["threshold"].dropna()) == {0.0}


def test_fine_tuned_members_keep_what_they_inherited(finished: Path, fine_tuned: Path) -> None:
    before, after = ir.trials(finished), ir.trials(fine_tuned)
    members = set(ir.front(finished)["number"])
    tuned = after[after["how"] == "fine-tuned"]
    assert set(tuned["number"]) == members
    assert list(tuned["inherited_accuracy"]) == list(before.loc[tuned.index, "accuracy"])
    assert set(tuned["outcome"]) == {"fine-tuned from the supernet"}
    assert set(tuned["epochs"]) == {2}
    others = before.index.difference(tuned.index)
    assert list(after.loc[others, "outcome"]) == list(before.loc[others, "outcome"])
    front = ir.front(fine_tuned)
    assert set(front["how"]) == {"fine-tuned"}, "accuracies of two kinds are not compared"
    check_networks(Run.open(fine_tuned))


def check_networks(run: Run) -> None:
    """Check that the files of the front's networks have the accuracies of the table."""
    data = run.data()
    for _, row in run.front().iterrows():
        network = run.network(int(row["number"]))
        assert accuracy(network, data, data.validation) == row["accuracy"]
        assert accuracy(network, data, data.read_test()) == row["test_accuracy"]


def test_members_trained_alone_are_those_of_a_training_from_scratch(
    fine_tuned: Path, tmp_path: Path
) -> None:
    shutil.copytree(fine_tuned, tmp_path / "run")
    study = study_of(members="trained")
    ir.run(study, tmp_path / "run", device="cpu")
    run = Run.open(tmp_path / "run")
    check_networks(run)
    front = run.front()
    assert set(front["how"]) == {"trained"}
    number, candidate = int(front["number"][0]), run.candidate(int(front["number"][0]))
    seed = training_seed(study.seed, candidate.id)
    alone = ir.train(candidate, study.recipe, run.data(), tmp_path / "alone", seed=seed)
    assert alone.accuracy == front["accuracy"][0]
    expected = load_network(candidate, tmp_path / "alone" / "best.safetensors").state_dict()
    for name, tensor in run.network(number).state_dict().items():
        assert torch.equal(tensor, expected[name]), name


def test_a_killed_fine_tuning_shows_inherited_accuracies_and_continues(
    finished: Path, fine_tuned: Path, tmp_path: Path
) -> None:
    class Stopping(ir.RunObserver):
        def on_step(self, number: int, progress: float) -> None:
            if progress > 1:
                os.kill(os.getpid(), 9)

    shutil.copytree(finished, tmp_path / "run")
    study = study_of(members="fine-tuned", finetune=2)
    run_killed(study, tmp_path / "run", Stopping())
    check_networks(Run.open(tmp_path / "run"))
    assert set(ir.front(tmp_path / "run")["how"]) == {"inherited"}
    ir.run(study, tmp_path / "run", device="cpu")
    assert_same(tmp_path / "run", fine_tuned)


def assert_same(one: Path, other: Path) -> None:
    """Check that two runs have the same trials, apart from times."""
    tables = [ir.trials(folder).drop(columns="seconds") for folder in (one, other)]
    pd.testing.assert_frame_equal(*tables)


def run_killed(study: Study, folder: Path, observer: ir.RunObserver) -> None:
    """Run a study in a child that the observer kills."""
    child = multiprocessing.get_context("fork").Process(
        target=ir.run, args=(study, folder), kwargs={"device": "cpu", "observer": observer}
    )
    child.start()
    child.join()
    assert child.exitcode == -9


@pytest.mark.usefixtures("forked_workers")
def test_two_workers_find_and_fine_tune_the_same_front(fine_tuned: Path, tmp_path: Path) -> None:
    study = study_of(members="fine-tuned", finetune=2)
    ir.run(study, tmp_path / "run", device="cpu", workers=2)
    assert_same(tmp_path / "run", fine_tuned)


def test_memory_and_latency_are_objectives_as_usual(
    quick: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importlib.import_module("ir2search.latency.timing"), "SECONDS", 0.05)
    objectives = ["accuracy", "memory", "latency"]
    shared = {"epochs": 1, "random": 0, "calibration": 256}
    values = {**quick, "trials": 2, "objectives": objectives, "supernet": shared}
    ir.run(parse_study(values, "a.toml"), tmp_path / "run", device="cpu")
    trained = ir.trials(tmp_path / "run").query("state == 'trained'")
    assert (trained[["latency_ms", "memory_bytes"]] > 0).all(axis=None)
    check_networks(Run.open(tmp_path / "run"))


def test_a_fine_tuned_network_is_exported_with_what_it_is(fine_tuned: Path) -> None:
    exported = ir.export_trial(fine_tuned)
    assert exported.images > 0, "predictions of the file are those of the network"
    card = exported.card.read_text()
    assert "weights inherited from a supernet of 2 epochs, fine-tuned for 2 epochs" in card


@pytest.mark.usefixtures("no_figures")
def test_an_inherited_network_is_analysed(finished: Path) -> None:
    found = ir.analyze(finished, "best", images=16, methods=["grad_cam"])
    assert found.folder.is_dir()


def test_tables_and_page_say_which_accuracies_are_inherited(
    fine_tuned: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_figures_once(monkeypatch)
    page = ir.write_report(fine_tuned)
    front = pd.read_csv(page.parent / "front.csv")
    assert set(front["how"]) == {"fine-tuned"}
    trials = pd.read_csv(page.parent / "trials.csv")
    searched = trials[trials["state"] == "trained"]
    inherited = searched[searched["how"] == "inherited"]
    assert list(inherited["accuracy"]) == list(inherited["inherited_accuracy"])
    values = view_of(page)
    assert values["trials"]["how"].count("fine-tuned") == len(front)
    for file in (page, page.parent / "report.md"):
        text = file.read_text()
        assert "5 candidates measured" in text
        assert "candidates trained" not in text
        assert "An inherited accuracy is that of a network with its part of weights" in text
    volumes = trials["hypervolume"]
    assert volumes.is_monotonic_increasing, "of the accuracies that the search saw"


def view_of(page: Path) -> dict[str, Any]:
    """The values that the script of a page draws."""
    found = re.search(r'<script[^>]* id="view">(.*?)</script>', page.read_text(), re.S)
    assert found is not None
    values: dict[str, Any] = json.loads(found[1])
    return values


def test_a_run_continues_the_supernet_where_it_stopped(
    quick: dict[str, Any], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    class Stopping(Remembering):
        def on_supernet_step(self, progress: float, epochs: int) -> None:
            if progress > 1:
                raise KeyboardInterrupt

    study = parse_study({**quick, **SHARED, "trials": 1}, "a.toml")
    with pytest.raises(KeyboardInterrupt):
        ir.run(study, tmp_path / "run", device="cpu", observer=Stopping())
    observer = Remembering()
    status = ir.run(study, tmp_path / "run", device="cpu", observer=observer)
    assert not caplog.messages, "the checkpoint is whole"
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
        ({"confirm": {"seeds": 1}}, r'give \[supernet\] members = "trained", or leave'),
        (
            {"supernet": {"members": "tuned"}},
            r"\[supernet\] members: must be one of inherited",
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
    with pytest.raises(InputError, match=r"^a\.toml: \[supernet\] calibration: must be at most"):
        ir.run(study, tmp_path / "run", device="cpu")
    assert not (tmp_path / "run").exists()
