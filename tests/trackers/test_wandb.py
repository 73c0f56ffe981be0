"""Weights & Biases offline: what its own reader finds in its files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import ir2search as ir

pytest.importorskip("wandb")
pytestmark = pytest.mark.filterwarnings("ignore")  # wandb's own


def records(file: Path) -> list[Any]:
    from wandb.proto import wandb_internal_pb2
    from wandb.sdk.internal.datastore import DataStore

    store, found = DataStore(), []
    store.open_for_scan(str(file))
    while (data := store.scan_data()) is not None:
        record = wandb_internal_pb2.Record()
        record.ParseFromString(data)
        found.append(record)
    return found


def test_a_trial_is_a_run_with_its_curve_and_its_parameters(
    search: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setattr("ir2search.trackers.base.Tracker._finish_run", lambda *_: None)
    run = search(ir.trackers.WandB(), 1)
    (number,) = run.trials().query("state == 'trained'")["number"]
    (file,) = (run.folder / "trackers" / "wandb").glob("offline-run-*/*.wandb")
    found = records(file)
    (about,) = [each.run for each in found if each.WhichOneof("record_type") == "run"]
    assert (about.run_group, about.display_name) == ("quick", f"trial-{number}")
    points = [
        {item.nested_key[0] if item.nested_key else item.key: json.loads(item.value_json)
         for item in each.history.item}
        for each in found
        if each.WhichOneof("record_type") == "history"
    ]  # fmt: skip
    assert [point["_step"] for point in points] == [1, 2]
    expected = [row.validation_accuracy for row in run.curve(int(number))]
    assert [point["validation_accuracy"] for point in points] == expected
    config = {
        item.key: json.loads(item.value_json)
        for each in found
        for changed in (each.config, each.run.config)
        for item in changed.update
    }
    assert config["width"] == run.candidate(int(number)).width
