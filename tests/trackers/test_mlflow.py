"""MLflow with a store of its own, read by its client."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import ir2search as ir
from ir2search.zoo import train_network

mlflow = pytest.importorskip("mlflow")
pytestmark = pytest.mark.filterwarnings("ignore")  # MLflow's own

SECRET = "hunter2"


@pytest.fixture
def uri(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A store of files: MLflow takes seconds to make the tables of a database."""
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    monkeypatch.setenv("DO_NOT_TRACK", "true")
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", SECRET)
    return (tmp_path / "store").as_uri()


@pytest.mark.usefixtures("figures_once")
def test_a_run_and_its_trials_can_be_read(
    search: Any, uri: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    monkeypatch.setattr("ir2search.plots.saving.FORMATS", {".svg": {}, ".png": {}})
    run = search(ir.trackers.MLflow(), 4)
    client = mlflow.MlflowClient(uri)
    experiment = client.get_experiment_by_name("ir2search")
    stored = {each.info.run_name: each for each in client.search_runs([experiment.experiment_id])}
    main = stored.pop("quick")
    trained = run.trials().query("state == 'trained'").set_index("number")
    assert set(stored) == {f"trial-{number}" for number in trained.index}
    for number, row in trained.iterrows():
        trial = stored[f"trial-{number}"]
        assert trial.info.status == "FINISHED"
        assert trial.data.tags["mlflow.parentRunId"] == main.info.run_id
        assert trial.data.params["width"] == str(row["width"])
        assert trial.data.metrics["ops"] == row["ops"]
        assert trial.data.metrics["accuracy"] == pytest.approx(row["accuracy"])
        history = client.get_metric_history(trial.info.run_id, "validation_accuracy")
        assert [each.step for each in history] == [1, 2]
    assert main.info.status == "FINISHED"
    files = {each.path for each in client.list_artifacts(main.info.run_id)}
    assert files == {"front.csv", "report"}
    report = {each.path for each in client.list_artifacts(main.info.run_id, "report")}
    assert "report/index.html" in report


def test_a_run_that_continues_adds_to_the_same_runs_and_keeps_no_secret(
    search: Any, uri: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ir2search.trackers.base.Tracker._finish_run", lambda *_: None)
    search(ir.trackers.MLflow(uri, experiment="lab"), 2)
    run = search(ir.trackers.MLflow(uri, experiment="lab"), 4)
    client = mlflow.MlflowClient(uri)
    stored = client.search_runs([client.get_experiment_by_name("lab").experiment_id])
    names = [each.info.run_name for each in stored]
    assert len(names) == len(set(names)) == 1 + int((run.trials()["state"] == "trained").sum())
    for each in stored:
        if each.info.run_name != "quick":
            history = client.get_metric_history(each.info.run_id, "loss")
            assert [point.step for point in history] == [1, 2]
    main = next(each for each in stored if each.info.run_name == "quick")
    assert main.info.status == "KILLED", "the search did not come to its end here"
    for file in run.folder.rglob("*"):
        if file.is_file():
            content = file.read_bytes()
            assert SECRET.encode() not in content
            assert uri.encode() not in content


def test_a_training_that_is_repeated_after_its_end_stays_finished(uri: str, tmp_path: Path) -> None:
    recipe = ir.Recipe(epochs=1, batch_size=256, optimizer="adamw", lr=0.01, crop_padding=1)
    candidate = ir.Candidate(depth=8, width=0.125, image=(1, 8, 8))
    file = tmp_path / "candidate.json"
    file.write_text(json.dumps(candidate.as_dict()))
    for _ in range(2):
        tracker = ir.trackers.MLflow(uri)
        train_network(str(file), tmp_path / "own", recipe=recipe, observer=tracker)
        client = mlflow.MlflowClient(uri)
        (run,) = client.search_runs([client.get_experiment_by_name("ir2search").experiment_id])
        assert run.info.status == "FINISHED"
