"""Storages that a run's folder names, passwords in URLs, and files that are not what they seem."""

from __future__ import annotations

import json
import os
import shutil
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import optuna
import pytest

from ir2search.trust import trust_storage

Command = Callable[..., "subprocess.CompletedProcess[str]"]

PASSWORD = "a-secret-word"


class Listener:
    """A port of this machine that counts who connects to it, and sends nothing."""

    def __init__(self) -> None:
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._socket.getsockname()[1])
        self.connections = 0
        threading.Thread(target=self._count, daemon=True).start()

    def _count(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            self.connections += 1
            connection.close()

    def close(self) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()


@pytest.fixture
def listener() -> Iterator[Listener]:
    listening = Listener()
    yield listening
    listening.close()


@pytest.fixture
def given(finished_run: Path, tmp_path: Path) -> Path:
    """A run's folder from somebody else."""
    return shutil.copytree(finished_run, tmp_path / "given" / "quick")


def check(done: subprocess.CompletedProcess[str], *parts: str) -> None:
    """Check for one sentence with these parts, exit code 2, and no password."""
    assert done.returncode == 2, done.stdout + done.stderr
    assert done.stdout == ""
    assert done.stderr.startswith("ir2search: ")
    assert done.stderr.count("\n") == 1, done.stderr
    assert PASSWORD not in done.stderr
    for part in parts:
        assert part in done.stderr


def name_storage(folder: Path, url: object) -> None:
    (folder / "storage.json").write_text(json.dumps({"url": url, "run": "0" * 16}))


COMMANDS = ("status", "report", "export", "analyze", "dashboard", "worker")


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("scheme", ["postgresql+psycopg://me@{}/lab", "grpc://{}"])
def test_a_server_that_only_the_folder_names_is_not_connected_to(
    ir2search: Command, given: Path, listener: Listener, command: str, scheme: str
) -> None:
    url = scheme.format(f"127.0.0.1:{listener.port}")
    name_storage(given, url)
    data = () if command in ("status", "report", "dashboard") else ("--data", given)
    done = ir2search(command, given, *data)
    check(done, url, f"ir2search status {given} --storage {url}")
    assert listener.connections == 0


def test_a_server_that_the_user_gave_for_another_folder_is_not_connected_to(
    ir2search: Command, given: Path, listener: Listener, tmp_path: Path
) -> None:
    url = f"postgresql+psycopg://me@127.0.0.1:{listener.port}/lab"
    name_storage(given, url)
    trust_storage(tmp_path / "other", url)
    check(ir2search("status", given), "nothing was connected")
    assert listener.connections == 0


def test_a_server_that_the_user_gives_is_connected_to_and_remembered(
    ir2search: Command, given: Path, listener: Listener
) -> None:
    url = f"postgresql+psycopg://me@127.0.0.1:{listener.port}/lab"
    name_storage(given, url)
    secret = url.replace("me@", f"me:{PASSWORD}@")
    for storage in (("--storage", secret), ()):
        before = listener.connections
        done = ir2search("status", given, *storage)
        check(done, url, "cannot be used as the study's storage")
        assert listener.connections > before


SAVED = {
    "sqlite": ("sqlite:///{}/made.db", "storage.json: url: storage sqlite"),
    "sqlite with a driver": ("sqlite+pysqlite:///{}/made.db", "storage.json: url: storage sqlite"),
    "no URL": ("nonsense", "storage.json: url: storage nonsense: must be"),
    "no text": (3, "storage.json: url must be a text"),
    "nothing": (None, "storage.json: url must be a text"),
    "a list": (["journal"], "storage.json: url must be a text"),
    "a port that is no number": ("postgresql://h:x/d", "storage.json: url: storage that"),
    "a proxy without a port": ("grpc://h", "must be grpc://HOST:PORT"),
    "another server": ("postgresql://h/d", "was begun with the storage postgresql://h/d, not"),
}


@pytest.mark.parametrize("name", SAVED)
def test_a_saved_storage_is_checked_as_a_given_one(
    ir2search: Command, given: Path, tmp_path: Path, name: str
) -> None:
    url, message = SAVED[name]
    name_storage(given, url.format(tmp_path) if isinstance(url, str) else url)
    storage = ("--storage", "journal") if name == "another server" else ()
    check(ir2search("status", given, *storage), message)
    assert not (tmp_path / "made.db").exists()


GIVEN = (
    f"sqlite://me:{PASSWORD}@h/x",
    f"sqlite:///x?pwd={PASSWORD}",
    f"grpc://me:{PASSWORD}@127.0.0.1:1",
    f"grpc://me:{PASSWORD}@127.0.0.1:x",
    f"grpc://127.0.0.1:1?pwd={PASSWORD}",
    f"postgresql+psycopg://me:{PASSWORD}@127.0.0.1:port/x",
    f"postgresql+psycopg://me:{PASSWORD}@more@127.0.0.1:1/x",
    f"postgresql+psycopg://me@corp:{PASSWORD}@127.0.0.1:1/x",
    f"postgresql+psycopg://me:{PASSWORD} and blanks@127.0.0.1:1/x",
    f"postgresql+psycopg://me:p@{PASSWORD}@127.0.0.1:1/x",
    f"postgresql+psycopg://me@127.0.0.1:1/x?pwd={PASSWORD}",
    f"postgresql+psycopg://me@127.0.0.1:1/x?PassWord={PASSWORD}&sslmode=disable",
    f"postgresql+psycopg://me@127.0.0.1:1/{{0}}?password={PASSWORD}",
    f"mssql+pyodbc:///?odbc_connect=DRIVER%3Dx%3BUID%3Dme%3BPWD%3D{PASSWORD}",
    f"nodialect://me:{PASSWORD}@h/x",
    f"me:{PASSWORD}@h/x",
    f"//me:{PASSWORD}@h/x",
)


@pytest.mark.parametrize("url", GIVEN)
def test_no_part_of_a_password_is_shown_or_stored(
    ir2search: Command,
    quick: dict[str, object],
    write_study: Callable[[dict[str, object]], Path],
    tmp_path: Path,
    url: str,
) -> None:
    done = ir2search("run", write_study(quick), "--storage", url, "--device", "cpu")
    check(done)
    state = Path(os.environ["XDG_STATE_HOME"])
    files = [*(tmp_path / "runs").rglob("*"), *state.rglob("*")]
    for file in files:
        assert not file.is_file() or PASSWORD.encode() not in file.read_bytes(), file


def older(given: Path) -> Path:
    """Give a run the SQLite file that older runs had, and return the file."""
    (given / "study.journal").unlink()
    file = given / "study.db"
    storage = optuna.storages.RDBStorage(
        "sqlite:///x",
        engine_kwargs={"creator": lambda: sqlite3.connect(file)},
    )
    optuna.create_study(study_name="quick", storage=storage, directions=["minimize"] * 2)
    storage.engine.dispose()
    return file


@pytest.mark.parametrize("name", ["q?x", "a%20b", "a b#c", "{0}", "ä&=+"])
@pytest.mark.parametrize("kind", ["journal", "sqlite"])
def test_a_path_is_no_url(
    ir2search: Command, given: Path, tmp_path: Path, name: str, kind: str
) -> None:
    folder = given.rename(tmp_path / name)
    if kind == "sqlite":
        older(folder)
    before = {path.name for path in tmp_path.iterdir()}
    done = ir2search("status", folder, "--json")
    assert done.returncode == 0, done.stderr
    counts = json.loads(done.stdout)["counts"]
    assert (sum(counts.values()) > 0) == (kind == "journal")
    assert {path.name for path in tmp_path.iterdir()} == before


HOLDER = (
    "import sqlite3, sys, time\n"
    "holder = sqlite3.connect(sys.argv[1])\n"
    "holder.execute('BEGIN EXCLUSIVE')\n"
    "print('locked', flush=True)\n"
    "time.sleep(6.5)"  # the default of sqlite3 is to wait for 5 seconds
)


def test_a_locked_database_of_an_older_run_is_waited_for(ir2search: Command, given: Path) -> None:
    file = older(given)
    code = [sys.executable, "-c", HOLDER, str(file)]
    with subprocess.Popen(code, stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        holder.stdout.readline()
        began = time.monotonic()
        done = ir2search("status", given)
        assert done.returncode == 0, done.stderr
        assert time.monotonic() - began > 5


CHANGES = {
    "another schema": "DROP TABLE studies; CREATE TABLE studies (name TEXT)",
    "no tables": "DROP TABLE version_info; DROP TABLE studies",
    "another version": "UPDATE version_info SET schema_version = 99; "
    "UPDATE alembic_version SET version_num = 'v9.9.9'",
}


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("command", ["status", "run"])
def test_a_database_of_another_optuna_is_one_sentence(
    ir2search: Command, given: Path, command: str, change: str
) -> None:
    with sqlite3.connect(older(given)) as database:
        database.executescript(CHANGES[change])
    if (command, change) == ("status", "another version"):
        assert ir2search("status", given).returncode == 0, "reading does not look at the version"
        return
    if command == "run":
        runs = ("--runs", given.parent, "--device", "cpu")
        done = ir2search("run", given / "study.toml", *runs)
    else:
        done = ir2search("status", given)
    check(done, str(given))


WRONG_FILES: dict[str, Callable[[Path], object]] = {
    "a pipe": os.mkfifo,
    "a device": lambda file: file.symlink_to("/dev/zero"),
    "a folder": Path.mkdir,
    "no database": lambda file: file.write_bytes(b"nothing of the kind\n" * 100),
}


@pytest.mark.parametrize("name", WRONG_FILES)
@pytest.mark.parametrize("file", ["study.journal", "study.db", "storage.json"])
def test_a_wrong_storage_gives_one_sentence(
    ir2search: Command, given: Path, name: str, file: str
) -> None:
    if file == "study.db":
        (given / "study.journal").unlink()
    (given / file).unlink(missing_ok=True)
    WRONG_FILES[name](given / file)
    check(ir2search("status", given), str(given))


def test_nothing_is_written_through_a_link_to_another_journal(
    ir2search: Command, given: Path, tmp_path: Path
) -> None:
    theirs = tmp_path / "theirs.journal"
    (given / "study.journal").rename(theirs)
    (given / "study.journal").symlink_to(theirs)
    before = theirs.read_bytes()
    runs = ("--runs", given.parent, "--trials", "6", "--device", "cpu")
    check(ir2search("run", given / "study.toml", *runs), "study.journal", "link")
    assert theirs.read_bytes() == before
