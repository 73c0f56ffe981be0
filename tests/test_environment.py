from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch

from ir2search.environment import add_session
from ir2search.errors import RunError
from ir2search.files import read_json
from ir2search.machine import cores


def test_each_session_is_recorded_without_passwords(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret = "postgresql://me:secret@host/db?password=secret&x=1"
    monkeypatch.setattr(sys, "argv", ["/bin/ir2search", "run", "digits", "--storage", secret])
    for seed in (1, 2):
        add_session(tmp_path / "environment.json", seed, torch.device("cpu"))
    first, second = read_json(tmp_path / "environment.json")["sessions"]
    assert (first["seed"], second["seed"]) == (1, 2)
    assert first["command"][:3] == ["ir2search", "run", "digits"]
    assert first["command"][4] == "postgresql://host/db"
    monkeypatch.setattr(sys, "argv", ["/lib/ir2search/__main__.py", "run"])
    add_session(tmp_path / "environment.json", 3, torch.device("cpu"))
    third = read_json(tmp_path / "environment.json")["sessions"][2]
    assert third["command"] == ["python -m ir2search", "run"]
    assert first["versions"]["torch"] == torch.__version__
    assert (first["device"], first["gpu"], first["cores"]) == ("cpu", None, cores())


@pytest.mark.parametrize("content", ["[]", "{}", '{"sessions": 3}', '{"sessions": [1]}'])
def test_a_damaged_record_is_named(tmp_path: Path, content: str) -> None:
    file = tmp_path / "environment.json"
    file.write_text(content)
    with pytest.raises(RunError, match=r"environment\.json: .*; restore or remove the file"):
        add_session(file, 1, torch.device("cpu"))
    assert file.read_text() == content
