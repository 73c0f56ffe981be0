from __future__ import annotations

import importlib
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

import ir2search as ir
from ir2search.export import candidate_graph
from ir2search.latency import time_on_runtime
from ir2search.latency.timing import NETWORK
from ir2search.runtime import Machine, Setting, Timing, read_time

TINY = ir.Candidate(depth=8, width=0.25, image=(1, 8, 8))
QUIET = Timing(1e-3, 0.99e-3, 1.01e-3, 100)
TIMING = importlib.import_module("ir2search.latency.timing")
TIMES = importlib.import_module("ir2search.runtime.times")
NOISY = Timing(1e-3, 0.9e-3, 1.1e-3, 100)


@pytest.fixture
def timings(monkeypatch: pytest.MonkeyPatch) -> list[Timing]:
    """Timings of the network in reverse order of the attempts; the reference has no noise."""
    given: list[Timing] = []

    def time_in_turns(calls: dict[str, object], seconds: float) -> dict[str, Timing]:
        return {name: given.pop() if name == NETWORK else QUIET for name in calls}

    monkeypatch.setattr(TIMING, "time_in_turns", time_in_turns)
    return given


def test_a_network_is_timed_once_for_each_architecture_setting_and_machine(
    timings: list[Timing], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    timings += [QUIET] * 4
    graph = candidate_graph(TINY)
    first = time_on_runtime(graph, Setting(), tmp_path)
    assert (first.timing, first.attempts) == (QUIET, 1)
    assert first.per_image == QUIET
    again = time_on_runtime(candidate_graph(replace(TINY, threshold=0.7)), Setting(), tmp_path)
    assert again == first
    assert time_on_runtime(graph, Setting(batch=2), tmp_path).per_image.median == 0.5e-3
    time_on_runtime(graph, Setting(threads=2), tmp_path)
    for module in (TIMES, TIMING):
        monkeypatch.setattr(module, "this_machine", lambda: Machine("another", "runtime"))
    assert time_on_runtime(graph, Setting(), tmp_path).machine.cpu == "another"
    assert timings == []
    assert len(list(tmp_path.glob("[0-9a-f]*.json"))) == 4
    references = list(tmp_path.glob("reference-*.json"))
    assert len(references) == 3, "by threads and machine"


def test_a_noisy_network_is_timed_again_and_the_quietest_time_counts(
    timings: list[Timing], tmp_path: Path
) -> None:
    quieter = replace(NOISY, high=1.0e-3)
    timings += [NOISY, quieter, NOISY]
    found = time_on_runtime(candidate_graph(TINY), Setting(), tmp_path)
    assert (found.timing, found.attempts) == (quieter, 3)


def test_the_pace_corrects_for_what_slows_the_machine_down(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    slowness = [1.0]

    def time_in_turns(calls: dict[str, object], seconds: float) -> dict[str, Timing]:
        values = [slowness[0] * value for value in (1e-3, 0.99e-3, 1.01e-3)]
        return {name: Timing(*values, 100) for name in calls}

    monkeypatch.setattr(TIMING, "time_in_turns", time_in_turns)
    times = []
    for slow, width in ((1.0, 0.125), (2.0, 0.25), (0.5, 0.5)):
        slowness[0] = slow
        graph = candidate_graph(replace(TINY, width=width))
        times.append(time_on_runtime(graph, Setting(), tmp_path))
    assert [time.pace for time in times] == pytest.approx([1.0, 2.0, 0.5])
    assert [time.timing.median for time in times] == pytest.approx([1e-3, 2e-3, 0.5e-3])
    assert [time.per_image.median for time in times] == pytest.approx([1e-3] * 3)
    assert time_on_runtime(graph).pace == 1.0, "without a cache there is no earlier time"


def test_a_damaged_time_in_the_cache_is_replaced(timings: list[Timing], tmp_path: Path) -> None:
    timings += [QUIET] * 2
    graph = candidate_graph(TINY)
    found = time_on_runtime(graph, Setting(), tmp_path)
    (file,) = tmp_path.glob("[0-9a-f]*.json")
    file.write_text('{"timing": ')
    time_on_runtime(graph, Setting(), tmp_path)
    assert read_time(file) == found


def test_only_one_network_is_timed_at_once_and_each_architecture_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(TIMING, "SECONDS", 0.05)
    inside, most, entered = [0], [0], [0]

    @contextmanager
    def paused() -> Iterator[None]:
        inside[0] += 1
        entered[0] += 1
        most[0] = max(most[0], inside[0])
        yield
        inside[0] -= 1

    def work(width: float) -> Callable[[], object]:
        graph = candidate_graph(replace(TINY, width=width))
        return lambda: time_on_runtime(graph, Setting(), tmp_path, paused=paused)

    threads = [threading.Thread(target=work(width)) for width in (0.125, 0.25, 0.25)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == [1]
    assert entered == [2]
