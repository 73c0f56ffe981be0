from __future__ import annotations

from pathlib import Path
from unittest.mock import Mock

import pytest
from PIL import Image

from ir2search.data import stream
from ir2search.doctor import Check, examine


def found(findings: list[Check], subject: str) -> Check:
    return next(finding for finding in findings if finding.subject == subject)


def test_doctor_reports_this_machine_and_a_missing_compiler(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, recwarn: pytest.WarningsRecorder
) -> None:
    from ir2search.kernels import build
    from ir2search.kernels import training as native

    findings = examine(runs=tmp_path / "runs")
    assert not (tmp_path / "runs").exists()
    assert all(finding.state != "wrong" for finding in findings)
    assert found(findings, "ray").state == "good"
    failing = Mock(side_effect=OSError("no c++"))
    monkeypatch.setattr(native, "_compile", failing)
    monkeypatch.setattr(build, "BUILT", tmp_path / "nothing")  # what the installation compiled
    native._loaded.cache_clear()
    try:
        kernels = found(examine(runs=tmp_path), "CPU kernels")
    finally:
        native._loaded.cache_clear()
    assert kernels.state == "slow"
    assert "install a C++ compiler" in kernels.advice
    assert not recwarn.list


def test_doctor_lists_splits_classes_and_what_is_skipped(tmp_path: Path) -> None:
    for split, count in (("train", 3), ("valid", 2)):
        for name in ("cat", "dog"):
            for number in range(count):
                file = tmp_path / split / name / f"{number}.png"
                file.parent.mkdir(parents=True, exist_ok=True)
                Image.new("RGB", (8, 8)).save(file)
    (tmp_path / "train" / "cat" / "notes.txt").write_text("x")
    findings = [finding for finding in examine(tmp_path) if finding.subject in ("data", "classes")]
    assert [finding.found for finding in findings] == [
        f"{tmp_path}: image files, train from 6 files in {tmp_path / 'train'}, "
        f"test from 4 files in {tmp_path / 'valid'}",
        f"{tmp_path / 'train'}: skipped '.txt' files (1)",
        "6 training, 4 test images of 3 x 8 x 8, 2 classes",
        "training + test images: cat 3 + 2, dog 3 + 2",
    ]
    assert {finding.state for finding in findings} == {"good"}


def test_doctor_says_that_shared_memory_is_small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "shared_memory", lambda: 64 * 2**20)
    small = found(examine(), "shared memory")
    assert small.state == "slow"
    assert "docker --shm-size=2g" in small.advice
