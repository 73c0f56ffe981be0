from __future__ import annotations

import shutil
from dataclasses import asdict
from pathlib import Path

import pytest

from ir2search.kernels import inference
from ir2search.runtime import Machine, this_machine
from ir2search.runtime import machine as module


def test_the_machine_is_the_same_each_time_and_names_the_processor() -> None:
    assert this_machine() == this_machine()
    assert this_machine().cpu
    assert len(this_machine().runtime) == 12


def test_records_with_the_new_and_the_old_key_are_read() -> None:
    machine = Machine("Z80", "abc")
    assert Machine.from_dict(asdict(machine)) == machine
    assert Machine.from_dict({"cpu": "Z80", "engine": "abc"}) == machine


def test_another_source_of_the_runtime_is_another_runtime(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    before = module._runtime()
    shutil.copytree(inference.SOURCES, tmp_path / "sources")
    monkeypatch.setattr(inference, "SOURCES", tmp_path / "sources")
    assert module._runtime() == before
    (tmp_path / "sources" / "ir2_runtime.c").write_text("")
    assert module._runtime() != before
