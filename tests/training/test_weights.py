from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from ir2search.errors import WeightsError
from ir2search.training.weights import read_weights


class Malicious:
    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (Path("ran-code"),))


def test_a_pickle_with_code_is_refused_and_not_executed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save({"state_dict": Malicious()}, "bad.pth")
    with pytest.raises(WeightsError, match=r"bad\.pth: contains more than tensors"):
        read_weights(Path("bad.pth"))
    assert not Path("ran-code").exists()


@pytest.mark.parametrize("name", ["a.safetensors", "a.pth"])
def test_a_missing_or_damaged_file_is_named(tmp_path: Path, name: str) -> None:
    with pytest.raises(WeightsError, match=r"a\.\w+: no such file"):
        read_weights(tmp_path / name)
    (tmp_path / name).write_bytes(b"")
    with pytest.raises(WeightsError, match=r"a\.\w+: (cannot be read as weights|contains more)"):
        read_weights(tmp_path / name)
    (tmp_path / name).write_bytes(b"\x80\x02garbage" * 20)
    with pytest.raises(WeightsError, match=r"a\.\w+: (cannot be read as weights|contains more)"):
        read_weights(tmp_path / name)
