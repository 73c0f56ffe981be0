from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

import ir2search as ir
from ir2search.errors import RunError
from ir2search.export import candidate_graph
from ir2search.files import write_json
from ir2search.runs import Run
from ir2search.runtime import RuntimeTime, Setting, Timing, this_machine
from ir2search.runtime.times import cached_file

TIME = RuntimeTime(
    Timing(2e-3, 1.9e-3, 2.2e-3, 1234), 1.0, Setting(threads=1, batch=1), this_machine(), 1
)


@pytest.fixture
def run(finished_run: Path, tmp_path: Path) -> Run:
    return Run.open(shutil.copytree(finished_run, tmp_path / "quick"))


def test_a_network_is_written_into_the_folder_of_its_trial(run: Run) -> None:
    done = ir.export_trial(run, "best", "safetensors")
    number = run.pick("best")
    assert done.file == run.folder / "trials" / str(number) / "export" / "network.safetensors"
    network = ir.load_network(run.candidate(number), done.file)
    for name, tensor in run.network(number).state_dict().items():
        np.testing.assert_array_equal(network.state_dict()[name], tensor)


def test_the_card_has_the_time_that_the_run_recorded(run: Run) -> None:
    """Also for formats that are not timed."""
    folder = run.folder_of(run.pick("best"))
    write_json(folder / "latency.json", TIME.as_dict())
    for format in ("packed", "onnx"):  # noqa: A001
        card = ir.export_trial(run, "best", format).card.read_text()
        assert "2 ms per image (quartiles 1.9 ms to 2.2 ms, 1,234 calls)" in card
        assert "threads: 1; images per call: 1;" in card


def test_the_card_has_the_cached_time_of_the_same_architecture(run: Run) -> None:
    graph = candidate_graph(run.candidate(run.pick("best")))
    write_json(cached_file(graph, Setting(), run.cache / "latency"), TIME.as_dict())
    assert "1,234 calls" in ir.export_trial(run, "best").card.read_text()


def test_the_timer_is_not_asked_for_a_time_that_is_known(run: Run) -> None:
    def timer(graph: object) -> RuntimeTime:
        raise AssertionError("it was asked")

    write_json(run.folder_of(run.pick("best")) / "latency.json", TIME.as_dict())
    ir.export_trial(run, "best", timer=timer)


def test_a_trial_that_was_not_trained_is_refused(finished_run: Path) -> None:
    with pytest.raises(RunError, match="no trained trial '99'"):
        ir.export_trial(finished_run, "99")
