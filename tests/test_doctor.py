from __future__ import annotations

from pathlib import Path

import pytest

from ir2search.doctor import Finding, examine


def found(findings: list[Finding], subject: str) -> Finding:
    return next(finding for finding in findings if finding.subject == subject)


def test_doctor_reports_this_machine_and_a_missing_compiler(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, recwarn: pytest.WarningsRecorder
) -> None:
    from ir2search.kernels import training as native

    findings = examine(runs=tmp_path / "runs")
    assert not (tmp_path / "runs").exists()
    assert all(finding.state != "wrong" for finding in findings)
    assert found(findings, "ray").state == "good"
    monkeypatch.setattr(native, "_compile", lambda: (_ for _ in ()).throw(OSError("no c++")))
    native.library.cache_clear()
    try:
        kernels = found(examine(runs=tmp_path), "CPU kernels")
    finally:
        native.library.cache_clear()
    assert kernels.state == "slow"
    assert "install a C++ compiler" in kernels.advice
    assert not recwarn.list
