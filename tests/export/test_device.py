from __future__ import annotations

import importlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from replay import ReplayExecutor
from torch import nn

import ir2search as ir
from ir2search.errors import CandidateError, SpaceError
from ir2search.export import device_memory
from ir2search.search.budget import check_budget
from ir2search.search.latency_timer import LatencyTimer
from ir2search.search.problem import Problem
from ir2search.study import parse_study

SMALL = ir.Candidate(depth=8, image=(1, 8, 8))


def problem_of(values: dict[str, Any], folder: Path) -> Problem:
    study = parse_study({**values, "space": {"depth": 8, "width": [0.25, 1.0]}}, "a.toml")
    return Problem(study, study.space.with_data((1, 8, 8), 10), LatencyTimer(study, folder))


def test_the_weights_of_a_layer_are_the_constants_of_its_step() -> None:
    """A binary convolution of 16 channels: 9 words of 16 bits for each output, in three rows."""
    memory = device_memory(replace(SMALL, taps=(), fusion="none"))
    step = next(each for each in memory.steps if each.name == "stage1.1.conv")
    bits = 16 * 3 * 8  # outputs, rows, bytes: 3 pixels of 2 bytes, filled up to whole words
    borders, kinds = 4 * 3 * 3 * 16, 8 + 8
    norm_and_threshold = 3 * 4 * 16
    fixed = step.flash_bytes - bits - borders - kinds - norm_and_threshold
    assert fixed == 4 * (17 + 4 * 2 + 1 + 12), "the numbers, maps and pointers of ir2_step"
    assert memory.flash_bytes > sum(each.flash_bytes for each in memory.steps)
    assert memory.ram_bytes >= max(each.ram_bytes for each in memory.steps)


def test_training_and_restriction_change_no_memory_but_the_shape_does() -> None:
    memory = device_memory(SMALL)
    assert device_memory(replace(SMALL, threshold=0.7, recipe=(("lr", 0.5),))) is memory
    wide, large = replace(SMALL, width=2.0), replace(SMALL, image=(1, 16, 16))
    assert device_memory(wide).flash_bytes > memory.flash_bytes
    assert device_memory(wide).ram_bytes > memory.ram_bytes
    assert device_memory(large).ram_bytes > 2 * memory.ram_bytes, "rows are twice as long"


def test_ram_and_flash_are_costs_with_budgets(quick: dict[str, Any], tmp_path: Path) -> None:
    plain = problem_of(quick, tmp_path)
    small, large = (plain.priced({"width": width}) for width in (0.25, 1.0))
    assert "ram_bytes" not in small.costs, "it is computed on request only"
    for name in ("ram", "flash"):
        low, high = (
            getattr(device_memory(each.candidate), f"{name}_bytes") for each in (small, large)
        )
        problem = problem_of(quick | {"budget": {name: (low + high) / 2}}, tmp_path)
        check_budget(problem)
        assert problem.is_affordable(small.candidate)
        assert not problem.is_affordable(large.candidate)
        never = problem_of(quick | {"budget": {name: "1"}}, tmp_path)
        with pytest.raises(SpaceError, match=rf"\[budget\] {name}: no candidate .* has {low} "):
            check_budget(never)


@pytest.mark.usefixtures("figures_once")
def test_a_run_and_its_report_have_the_ram_of_each_network(
    quick: dict[str, Any], tmp_path: Path
) -> None:
    values = quick | {"objectives": ["accuracy", "ram"], "budget": {"flash": "1M"}}
    ir.run(parse_study(values, "a.toml"), tmp_path / "runs" / "a", executor=ReplayExecutor)
    run = ir.Run.open(tmp_path / "runs" / "a")
    table = run.trials().query("state == 'trained'")
    assert len(table) > 1
    for number, ram, flash in zip(
        table["number"], table["ram_bytes"], table["flash_bytes"], strict=True
    ):
        found = device_memory(run.candidate(number))
        assert (found.ram_bytes, found.flash_bytes) == (ram, flash)
    ir.write_report(run)
    assert "RAM (bytes)" in (run.folder / "report" / "index.html").read_text()


def test_a_network_that_cannot_be_exported_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    network = nn.Sequential(nn.GELU())
    describe = importlib.import_module("ir2search.export.describe")
    monkeypatch.setattr(describe, "build", lambda candidate: network)
    with pytest.raises(CandidateError, match="a GELU cannot be exported"):
        device_memory(replace(SMALL, width=0.77))
