"""TensorBoard's event files, read by TensorBoard."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

import ir2search as ir
from ir2search.training import Recipe

pytest.importorskip("tensorboard")


def events(folder: Path) -> Any:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    read = EventAccumulator(str(folder))
    read.Reload()
    return read


def test_curves_parameters_costs_and_front_can_be_read(
    search: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    picture = tmp_path / "report" / "figures" / "front.png"
    picture.parent.mkdir(parents=True)
    Image.new("RGB", (8, 8)).save(picture)
    monkeypatch.setattr(
        "ir2search.trackers.base.write_report", lambda run: tmp_path / "report" / "index.html"
    )
    search(ir.trackers.TensorBoard(), 2)
    run = search(ir.trackers.TensorBoard(), 4)
    place = run.folder / "trackers" / "tensorboard"
    for number in run.trials().query("state == 'trained'")["number"]:
        trial = events(place / f"trial-{number}")
        curve = [row.validation_accuracy for row in run.curve(int(number))]
        shown = trial.Scalars("validation_accuracy")
        assert [each.step for each in shown] == [1, 2]
        assert [each.value for each in shown] == pytest.approx(curve)
        assert trial.Scalars("ops")[0].value == pytest.approx(ir.cost(run.candidate(number)).ops)
        assert "_hparams_/session_start_info" in trial.summary_metadata
    search_events = events(place / "search")
    assert search_events.Tags()["images"] == ["front"]
    table = search_events.Tensors("front/text_summary")[-1].tensor_proto.string_val[0].decode()
    assert [line.split("|")[1] for line in table.splitlines()[2:]] == [
        str(number) for number in run.front()["number"]
    ]


def test_the_training_of_one_network_is_a_curve(tmp_path: Path) -> None:
    small = ir.Candidate(depth=8, width=0.125, classes=10, image=(1, 8, 8))
    file = tmp_path / "candidate.json"
    file.write_text(json.dumps(small.as_dict()))
    recipe = Recipe(epochs=1, batch_size=512)
    done = ir.train_network(
        str(file), tmp_path / "own", recipe=recipe, observer=ir.trackers.TensorBoard()
    )
    read = events(tmp_path / "own" / "trackers" / "tensorboard" / "search")
    assert [each.step for each in read.Scalars("loss")] == [1]
    assert read.Scalars("test_accuracy")[0].value == pytest.approx(done.test_accuracy)
