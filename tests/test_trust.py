from __future__ import annotations

from pathlib import Path

import pytest

from ir2search.errors import RunError
from ir2search.trust import (
    trust_code,
    trust_storage,
    trusts_code,
    trusts_storage,
)


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user who has trusted nothing yet."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setattr("ir2search.trust._code", set())
    monkeypatch.setattr("ir2search.trust._storages", set())
    return tmp_path / "state" / "ir2search"


def forget(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep what is in the file only, as another process would."""
    monkeypatch.setattr("ir2search.trust._code", set())
    monkeypatch.setattr("ir2search.trust._storages", set())


def test_code_is_trusted_by_its_content(monkeypatch: pytest.MonkeyPatch) -> None:
    assert not trusts_code("a" * 64)
    assert trust_code({"a" * 64: "mine.py"})
    forget(monkeypatch)
    assert trusts_code("a" * 64)
    assert not trusts_code("b" * 64)


def test_a_storage_is_trusted_for_one_folder_by_its_real_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "link").symlink_to("run")
    assert trust_storage(tmp_path / "link", "postgresql://h/d")
    forget(monkeypatch)
    assert trusts_storage(tmp_path / "run", "postgresql://h/d")
    assert not trusts_storage(tmp_path / "run", "postgresql://h/other")
    assert not trusts_storage(tmp_path / "other", "postgresql://h/d")


def test_trust_that_cannot_be_saved_holds_for_this_process(state: Path) -> None:
    state.parent.touch()
    assert not trust_code({"a" * 64: "mine.py"})
    assert trusts_code("a" * 64)


def test_a_damaged_file_is_named(state: Path) -> None:
    state.mkdir(parents=True)
    (state / "trust.json").write_text("[]")
    with pytest.raises(RunError, match=r"trust\.json: damaged; remove it"):
        trusts_code("a" * 64)
