from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from ir2search.errors import RunError
from ir2search.files import locked, read_json, read_json_lines, write_json, write_text


def test_json_comes_back_as_it_was(tmp_path: Path) -> None:
    file = tmp_path / "new folder" / "a.json"
    write_json(file, {"a": [1, None, "ä"]})
    assert read_json(file) == {"a": [1, None, "ä"]}
    assert [path.name for path in file.parent.iterdir()] == ["a.json"]
    write_text(tmp_path / "a.jsonl", '{"epoch": 1}\n{"epoch": 2}\n')
    assert read_json_lines(tmp_path / "a.jsonl") == [{"epoch": 1}, {"epoch": 2}]


@pytest.mark.parametrize("read", [read_json, read_json_lines])
def test_a_missing_or_damaged_file_is_named(tmp_path: Path, read: Callable[[Path], object]) -> None:
    with pytest.raises(RunError, match=r"a\.json: cannot be read"):
        read(tmp_path / "a.json")
    (tmp_path / "a.json").write_text('{"cut": ')
    with pytest.raises(RunError, match=r"a\.json: cannot be read: .*; restore or remove it"):
        read(tmp_path / "a.json")


def test_a_failed_write_keeps_the_old_file(tmp_path: Path) -> None:
    write_json(tmp_path / "a.json", 1)
    with pytest.raises(TypeError):
        write_json(tmp_path / "a.json", object())
    assert read_json(tmp_path / "a.json") == 1


def test_a_lock_is_waited_for_as_long_as_the_patience_lasts(tmp_path: Path) -> None:
    with locked(tmp_path), pytest.raises(RunError, match="another process works in it"):
        _in_thread(lambda: locked(tmp_path).__enter__())
    with locked(tmp_path, patience=5):
        pass


def _in_thread(work: Callable[[], object]) -> None:
    errors: list[Exception] = []

    def run() -> None:
        try:
            work()
        except Exception as error:
            errors.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    if errors:
        raise errors[0]
