from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

import ir2search as ir
from ir2search.errors import InputError
from ir2search.latency import Latency, LatencyRow
from ir2search.runtime import Timing

Command = Callable[..., "subprocess.CompletedProcess[str]"]
TINY = ir.Candidate(depth=8, width=0.25, image=(3, 12, 12))


def test_every_way_has_a_row_for_each_batch_and_number_of_threads() -> None:
    before = torch.get_num_threads()
    found = ir.latency(TINY, threads=[1, 2], batches=[1, 3], runtimes=["onnxruntime"], seconds=0.01)
    assert [(row.threads, row.batch) for row in found.rows] == [(1, 1), (2, 1), (1, 3), (2, 3)]
    assert all(0 < row.timing.low <= row.timing.median <= row.timing.high for row in found.rows)
    assert torch.get_num_threads() == before


def test_a_wider_network_takes_longer() -> None:
    wide = replace(TINY, width=8, image=(3, 16, 16))
    medians = [
        ir.latency(each, runtimes=["onnxruntime"], seconds=0.05).rows[0].timing.median
        for each in (TINY, wide)
    ]
    assert medians[1] > 3 * medians[0]


def test_a_time_within_the_noise_of_the_fastest_counts_as_fastest() -> None:
    timings = {"a": Timing(1, 0.9, 1.1, 9), "b": Timing(1.1, 1.05, 1.3, 9), "c": Timing(2, 2, 2, 9)}
    rows = tuple(LatencyRow(runtime, 1, 1, timing) for runtime, timing in timings.items())
    assert Latency("any", rows).fastest(1, 1) == ["a", "b"]


@pytest.mark.parametrize(
    ("asked", "complaint"),
    [
        ({"threads": [0]}, "`threads` must be whole numbers of at least 1, but got 0"),
        ({"batches": []}, "`batches` must be whole numbers of at least 1, but got none"),
        (
            {"batches": [10**9], "runtimes": ["onnxruntime"]},
            "`batches`: 1000000000 images are 432,000,000,000 values; at most",
        ),
        ({"runtimes": []}, "at least one of runtime, onnxruntime, int8, torch"),
    ],
)
def test_wrong_arguments_are_named_in_one_sentence(
    asked: dict[str, list[int]], complaint: str
) -> None:
    with pytest.raises(InputError, match=re.escape(complaint)):
        ir.latency(TINY, **asked)


def test_the_command_prints_a_table_and_the_same_as_json(
    ir2search: Command, finished_run: Path
) -> None:
    trial = finished_run / "trials" / "0"
    given = ("latency", trial, "--runtimes", "onnxruntime", "--seconds", "0.01", "--batch", "1,2")
    table = ir2search(*given)
    assert table.returncode == 0, table.stderr
    assert len(re.findall(r"^ *onnxruntime +1 +[12] +\d+\.\d{3} ", table.stdout, re.MULTILINE)) == 2
    printed = json.loads(ir2search(*given, "--json").stdout)
    assert [row["batch"] for row in printed["rows"]] == [1, 2]
    wrong = ir2search("latency", trial, "--threads", "1,two")
    assert wrong.returncode == 2
    assert (
        "--threads must be whole numbers separated by commas, such as 1,2, but got '1,two'"
        in wrong.stderr
    )


def test_an_exported_file_is_timed_layer_by_layer(finished_run: Path, tmp_path: Path) -> None:
    file = ir.export_trial(finished_run, "best", file=tmp_path / "a.packed").file
    found = ir.latency(str(file), runtimes=["runtime"], batches=[2], seconds=0.01)
    assert [(row.runtime, row.batch) for row in found.rows] == [("runtime", 2)]
    kinds = [layer.kind for layer in found.layers]
    assert kinds.count("binary_conv") == 6
    assert {"conv", "linear"} <= set(kinds)
    assert all(layer.seconds > 0 for layer in found.layers)
    assert len(found.as_dict()["layers"]) == len(kinds)
