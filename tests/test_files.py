from __future__ import annotations

import os
import re
import stat
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from ir2search import files
from ir2search.errors import RunError
from ir2search.files import (
    cache_folder,
    copy_file,
    locked,
    make_folder,
    protect,
    read_json,
    read_json_lines,
    read_toml,
    replacing,
    state_folder,
    write_json,
    write_text,
)


def test_json_is_read_as_it_was_written(tmp_path: Path) -> None:
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


@pytest.mark.parametrize("number", ["9" * 5000, "9" * 400, str(2**63), str(-(2**63) - 1)])
def test_integers_have_at_most_64_bits(tmp_path: Path, number: str) -> None:
    (tmp_path / "a.json").write_text(f'{{"a": [{number}]}}')
    with pytest.raises(RunError, match="64 bits"):
        read_json(tmp_path / "a.json")
    (tmp_path / "a.toml").write_text(f"a = [{{ b = {number[:4000]} }}]")
    with pytest.raises(ValueError, match="64 bits"):
        read_toml(tmp_path / "a.toml")


def test_a_failed_write_keeps_the_old_file(tmp_path: Path) -> None:
    write_json(tmp_path / "a.json", 1)
    with pytest.raises(TypeError):
        write_json(tmp_path / "a.json", object())
    assert read_json(tmp_path / "a.json") == 1


def test_a_locked_folder_is_refused_after_the_patience(tmp_path: Path) -> None:
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


def test_two_writers_at_once_do_not_mix_their_parts(tmp_path: Path) -> None:
    file = tmp_path / "a.txt"
    with replacing(file) as one, replacing(file) as other:
        assert one != other
        assert one.suffix == other.suffix == ".txt"
        one.write_text("one")
        other.write_text("other")
    assert file.read_text() == "one"
    assert list(tmp_path.iterdir()) == [file]


def test_a_new_file_has_the_permissions_of_the_umask(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        write_text(tmp_path / "a.txt", "a")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "a.txt").stat().st_mode) == 0o640


def test_a_link_is_replaced_and_its_target_stays(tmp_path: Path) -> None:
    (tmp_path / "target.txt").write_text("old")
    (tmp_path / "a.txt").symlink_to(tmp_path / "target.txt")
    write_text(tmp_path / "a.txt", "new")
    assert (tmp_path / "target.txt").read_text() == "old"
    assert not (tmp_path / "a.txt").is_symlink()


def test_nothing_is_written_through_a_link_out_of_a_protected_folder(tmp_path: Path) -> None:
    outside, run = tmp_path / "outside", tmp_path / "run"
    outside.mkdir()
    (run / "inside").mkdir(parents=True)
    (run / "report").symlink_to(outside)
    (run / "own").symlink_to(run / "inside")
    protect(run)
    with pytest.raises(RunError, match=r"report: a symbolic link leads out of .*; remove the link"):
        write_text(run / "report" / "index.html", "page")
    with pytest.raises(RunError, match="leads out of"):
        write_text(run / "report" / "figures" / "a.svg", "figure")
    with pytest.raises(RunError, match="leads out of"):
        make_folder(run / "report" / "figures")
    write_text(run / "own" / "a.txt", "a")
    assert list(outside.iterdir()) == []


def test_folders_are_made_where_links_are_checked() -> None:
    """The others make folders that are not in a run."""
    package = Path(files.__file__).parent
    others = ("cli/failures.py", "data/dataset.py", "kernels/build.py", "study/template.py")
    making = {
        str(file.relative_to(package))
        for file in package.rglob("*.py")
        if re.search(r"\bmkdir\(|makedirs\(|copytree\(", file.read_text())
    }
    assert making == {"files.py", *others}


def test_only_a_regular_file_is_copied(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "zeros").symlink_to("/dev/zero")
    for name in ("pipe", "zeros", "missing"):
        with pytest.raises(OSError, match=r"not a regular file|No such file"):
            copy_file(tmp_path / name, tmp_path / "copy")
    (tmp_path / "file").write_text("text")
    copy_file(tmp_path / "file", tmp_path / "new" / "copy")
    assert (tmp_path / "new" / "copy").read_text() == "text"


def test_only_regular_files_of_a_bounded_size_are_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.json")
    with pytest.raises(RunError, match=r"pipe\.json: cannot be read: .*not a regular file"):
        read_json(tmp_path / "pipe.json")
    with pytest.raises(RunError, match="not a regular file"):
        read_json(Path("/dev/zero"))
    with (tmp_path / "large.json").open("wb") as file:
        file.truncate(65 << 20)
    with pytest.raises(RunError, match="larger than 65536 KiB"):
        read_json(tmp_path / "large.json")
    (tmp_path / "deep.json").write_text("[" * 100_000)
    with pytest.raises(RunError, match=r"deep\.json: cannot be read"):
        read_json(tmp_path / "deep.json")


@pytest.mark.parametrize(
    ("variable", "folder", "default"),
    [("XDG_STATE_HOME", state_folder, ".local/state"), ("XDG_CACHE_HOME", cache_folder, ".cache")],
)
def test_a_relative_user_folder_is_not_used(
    monkeypatch: pytest.MonkeyPatch, variable: str, folder: Callable[[], Path], default: str
) -> None:
    monkeypatch.setenv(variable, "relative")
    assert folder() == Path.home() / default / "ir2search"


def test_a_pipe_or_a_folder_is_not_replaced(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for place in (tmp_path / "pipe", tmp_path):
        with pytest.raises(RunError, match="is not a regular file; choose another path"):
            write_text(place, "x")
    assert (tmp_path / "pipe").is_fifo()
