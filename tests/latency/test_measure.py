from __future__ import annotations

import importlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import ir2search as ir
from ir2search.export import candidate_graph
from ir2search.latency import Setting, Timing, engine_time, read_time
from ir2search.latency.machine import Machine
from ir2search.latency.measure import architecture
from ir2search.latency.reference import reference
from ir2search.runtime import PackedNetwork

TINY = ir.Candidate(depth=8, width=0.25, image=(1, 8, 8))
QUIET = Timing(1e-3, 0.99e-3, 1.01e-3, 100)
WIDE = Timing(1e-3, 0.9e-3, 1.1e-3, 100)
MODULE = importlib.import_module("ir2search.latency.measure")  # not the function of that name


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> list[Timing]:
    """What each measurement gives, last first; the second is quick."""
    given: list[Timing] = []

    def timed(ways: dict[str, object], seconds: float) -> dict[str, Timing]:
        return {name: QUIET if name else given.pop() for name in ways}

    monkeypatch.setattr(MODULE, "timed", timed)
    return given


def test_an_architecture_is_what_the_engine_runs_and_no_more() -> None:
    """Neither weights, nor how it is trained, nor the restriction, which needs the last maps."""
    own = architecture(candidate_graph(TINY))
    same = [
        TINY,
        replace(TINY, threshold=0.9),
        replace(TINY, threshold=0.9, normalization="column"),
        replace(TINY, estimator="tanh", weight_estimator="tanh", standardise=True),
    ]
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
    assert {architecture(candidate_graph(each)) for each in same} == {own}
    digests = {architecture(candidate_graph(each)) for each in others}
    assert len(digests - {own}) == len(others)


def test_it_is_measured_once_for_each_architecture_setting_and_machine(
    measured: list[Timing], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    measured += [QUIET] * 4
    graph = candidate_graph(TINY)
    first = engine_time(graph, Setting(), tmp_path)
    assert (first.timing, first.attempts) == (QUIET, 1)
    assert first.an_image == QUIET
    again = engine_time(candidate_graph(replace(TINY, threshold=0.7)), Setting(), tmp_path)
    assert again == first
    assert engine_time(graph, Setting(batch=2), tmp_path).an_image.median == 0.5e-3
    engine_time(graph, Setting(threads=2), tmp_path)
    monkeypatch.setattr(MODULE, "this_machine", lambda: Machine("another", "engine"))
    assert engine_time(graph, Setting(), tmp_path).machine.cpu == "another"
    assert measured == []
    assert len(list(tmp_path.glob("[0-9a-f]*.json"))) == 4
    references = list(tmp_path.glob("reference-*.json"))
    assert len(references) == 3, "by threads and machine"


def test_wide_quartiles_are_measured_again_and_the_nearest_count(
    measured: list[Timing], tmp_path: Path
) -> None:
    middling = replace(WIDE, high=1.0e-3)
    measured += [WIDE, middling, WIDE]
    found = engine_time(candidate_graph(TINY), Setting(), tmp_path)
    assert (found.timing, found.attempts) == (middling, 3)
    assert found.timing.noise == pytest.approx(0.1)


def test_what_slows_the_machine_is_seen_in_the_reference(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Half the speed from some time on, for all that runs."""
    slowness = [1.0]

    def timed(ways: dict[str, object], seconds: float) -> dict[str, Timing]:
        return {
            name: Timing(*(slowness[0] * value for value in (1e-3, 0.99e-3, 1.01e-3)), 100)
            for name in ways
        }

    monkeypatch.setattr(MODULE, "timed", timed)
    times = []
    for slow, width in ((1.0, 0.125), (2.0, 0.25), (0.5, 0.5)):
        slowness[0] = slow
        graph = candidate_graph(replace(TINY, width=width))
        times.append(engine_time(graph, Setting(), tmp_path))
    assert [time.pace for time in times] == pytest.approx([1.0, 2.0, 0.5])
    assert [time.timing.median for time in times] == pytest.approx([1e-3, 2e-3, 0.5e-3])
    assert [time.an_image.median for time in times] == pytest.approx([1e-3] * 3)
    assert engine_time(graph).pace == 1.0, "without a cache there is nothing to compare with"


def test_the_reference_is_a_network_that_the_engine_runs() -> None:
    logits = PackedNetwork(reference()).logits(np.ones((1, 3, 16, 16), np.float32))
    assert logits.shape == (1, 10)
    assert np.isfinite(logits).all()
    assert np.ptp(logits) > 0


def test_a_damaged_time_is_measured_again(measured: list[Timing], tmp_path: Path) -> None:
    measured += [QUIET] * 2
    graph = candidate_graph(TINY)
    found = engine_time(graph, Setting(), tmp_path)
    (file,) = tmp_path.glob("[0-9a-f]*.json")
    assert read_time(file) == found
    file.write_text('{"timing": ')
    assert read_time(file) is None
    engine_time(graph, Setting(), tmp_path)
    assert read_time(file) == found


def test_two_are_never_timed_at_once(tmp_path: Path) -> None:
    """Nor twice for the same architecture, where both ask at once."""
    inside, most, entered = [0], [0], [0]

    @contextmanager
    def quiet() -> Iterator[None]:
        inside[0] += 1
        entered[0] += 1
        most[0] = max(most[0], inside[0])
        yield
        inside[0] -= 1

    graphs = [candidate_graph(replace(TINY, width=width)) for width in (0.125, 0.25, 0.25)]
    threads = [
        threading.Thread(
            target=engine_time, args=(graph, Setting(), tmp_path), kwargs={"quiet": quiet}
        )
        for graph in graphs
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == [1]
    assert entered == [2]
