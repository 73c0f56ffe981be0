from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

import ir2search as ir
from ir2search.export import candidate_graph
from ir2search.files import read_json, write_json
from ir2search.runtime import Machine, RuntimeTime, Setting, Timing, cached_time, read_time
from ir2search.runtime.times import architecture, cached_file

TINY = ir.Candidate(depth=8, width=0.25, image=(1, 8, 8))
TIMING = Timing(1e-3, 0.9e-3, 1.2e-3, 100)
TIME = RuntimeTime(TIMING, 2.0, Setting(threads=1, batch=5), Machine("Z80", "abc"), 1)


def test_the_noise_is_the_distance_of_the_quartiles_over_the_median() -> None:
    assert TIMING.noise == pytest.approx(0.3)


def test_timings_differ_if_their_quartiles_do_not_overlap() -> None:
    quiet, near, far = Timing(1.0, 0.9, 1.1, 9), Timing(1.15, 1.05, 1.3, 9), Timing(2, 1.9, 2.1, 9)
    assert not quiet.differs(near)
    assert not near.differs(quiet)
    assert quiet.differs(far)
    assert far.differs(quiet)


def test_the_time_of_an_image_is_divided_by_batch_and_pace() -> None:
    own = TIME.per_image
    assert (own.median, own.low, own.high) == pytest.approx((1e-4, 0.9e-4, 1.2e-4))


def test_a_time_is_read_as_it_was_written(tmp_path: Path) -> None:
    write_json(tmp_path / "latency.json", TIME.as_dict())
    assert read_time(tmp_path / "latency.json") == TIME


def test_a_record_with_the_old_name_of_the_runtime_is_read(tmp_path: Path) -> None:
    write_json(tmp_path / "latency.json", TIME.as_dict())
    values = read_json(tmp_path / "latency.json")
    values["machine"]["engine"] = values["machine"].pop("runtime")
    write_json(tmp_path / "latency.json", values)
    assert read_time(tmp_path / "latency.json") == TIME


@pytest.mark.parametrize(
    ("part", "name", "value"),
    [
        ("timing", "median", float("nan")),
        ("timing", "median", "fast"),
        ("timing", "median", 0),
        ("timing", "low", float("inf")),
        ("machine", "cpu", 3),
        ("setting", "threads", [1]),
    ],
)
def test_a_time_with_a_wrong_value_is_not_used(
    tmp_path: Path, part: str, name: str, value: object
) -> None:
    values = TIME.as_dict()
    values[part][name] = value
    write_json(tmp_path / "latency.json", values)
    assert read_time(tmp_path / "latency.json") is None


@pytest.mark.parametrize("content", ['{"timing": ', "[]", "{}", None])
def test_a_damaged_or_missing_time_is_none(tmp_path: Path, content: str | None) -> None:
    if content is not None:
        (tmp_path / "latency.json").write_text(content)
    assert read_time(tmp_path / "latency.json") is None


def test_the_cache_is_by_architecture_setting_and_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    graph, setting = candidate_graph(TINY), Setting()
    write_json(cached_file(graph, setting, tmp_path), TIME.as_dict())
    assert cached_time(candidate_graph(replace(TINY, threshold=0.7)), setting, tmp_path) == TIME
    assert cached_time(candidate_graph(replace(TINY, depth=14)), setting, tmp_path) is None
    assert cached_time(graph, Setting(threads=2), tmp_path) is None
    monkeypatch.setattr("ir2search.runtime.times.this_machine", lambda: Machine("Z80", "abc"))
    assert cached_time(graph, setting, tmp_path) is None


def test_weights_training_and_restriction_do_not_change_the_architecture() -> None:
    own = architecture(candidate_graph(TINY))
    same = [
        TINY,
        replace(TINY, threshold=0.9),
        replace(TINY, threshold=0.9, normalization="column"),
        replace(TINY, estimator="tanh", weight_estimator="tanh", standardise=True),
    ]
    assert {architecture(candidate_graph(each)) for each in same} == {own}


def test_each_change_of_what_the_runtime_runs_changes_the_architecture() -> None:
    others = [
        replace(TINY, depth=14),
        replace(TINY, width=0.5),
        replace(TINY, taps=("stem",)),
        replace(TINY, fusion="dense"),
        replace(TINY, shift=True),
        replace(TINY, activation="prelu"),
        replace(TINY, weights="real"),
        replace(TINY, image=(1, 9, 8)),
        replace(TINY, classes=11),
    ]
    digests = {architecture(candidate_graph(each)) for each in (TINY, *others)}
    assert len(digests) == 1 + len(others)
