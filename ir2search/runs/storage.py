"""Where a study's trials are kept: SQLite in the run's folder, or a storage that drivers share.

A storage is named by ``journal`` (a file in the run's folder, for file systems without locks),
by the URL of a database server as SQLAlchemy takes it, or by ``grpc://HOST:PORT``, Optuna's proxy
in front of one. Its name is kept in ``storage.json`` without a password: the server's own means
give that one on later calls (for PostgreSQL, ``PGPASSWORD`` or ``~/.pgpass``).
"""

from __future__ import annotations

import json
import secrets
import sqlite3
import warnings
import weakref
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import optuna
from optuna.exceptions import StorageInternalError, UpdateFinishedTrialError
from optuna.storages import BaseStorage
from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock
from sqlalchemy import event
from sqlalchemy.engine import URL, Engine, make_url
from sqlalchemy.exc import (
    ArgumentError,
    DBAPIError,
    InterfaceError,
    OperationalError,
    PendingRollbackError,
    SQLAlchemyError,
)
from tenacity import (
    RetryCallState,
    Retrying,
    retry_if_exception,
    stop_after_delay,
    wait_exponential,
)

from ir2search.errors import RunError
from ir2search.files import read_json, write_json
from ir2search.runs.database import Database, Outline
from ir2search.runs.mirror import Mirror
from ir2search.study.objectives import OBJECTIVES
from ir2search.study.schema import Study

FILE = "storage.json"
DATABASE, JOURNAL = "study.db", "study.journal"
GRPC = "grpc://"
PATIENCE = 300.0  # seconds for a database that went away to come back
CONNECT_TIMEOUT = 10  # seconds
AWAY = (OperationalError, InterfaceError, PendingRollbackError)


def open_storage(
    folder: Path,
    study: Study,
    url: str | None = None,
    *,
    definition: str = "",
    create: bool = False,
) -> optuna.Study:
    """The run's Optuna study.

    Args:
        folder: the run's.
        study: whose trials.
        url: of the storage; as the run was begun where left out.
        definition: what the trials depend on; kept with them, and compared.
        create: whether to make it where there is none.

    Raises:
        RunError: the storage is missing, cannot be reached or read, or holds another study.
    """
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    chosen = _chosen(folder, url)
    if chosen is None and not create and not (folder / DATABASE).exists():
        raise RunError(f"{folder}: the run has not started any trial yet; run it first")
    with storage_errors(folder, chosen):
        storage = _open(folder, chosen, writes=create)
        if not create:
            return _load(storage, study, folder)
        opened = optuna.create_study(
            study_name=study.name,
            storage=storage,
            directions=[OBJECTIVES[name].direction for name in study.objectives],
            load_if_exists=True,
        )
        if chosen is not None and not (folder / FILE).exists():
            write_json(folder / FILE, {"url": _shown(chosen), "run": secrets.token_hex(8)})
        if chosen is None or chosen == "journal":
            return optuna.load_study(study_name=study.name, storage=Mirror(storage, study.name))
        _claim(opened, folder, _shown(chosen), definition)
    return opened


def _load(storage: BaseStorage, study: Study, folder: Path) -> optuna.Study:
    try:
        return optuna.load_study(study_name=study.name, storage=storage)
    except KeyError:
        raise RunError(f"{folder}: the run has not started any trial yet; run it first") from None


def outlines(storage: optuna.Study, names: Collection[str]) -> list[Outline]:
    """All trials in outline, without reading them in full where they are in SQLite.

    Args:
        storage: theirs.
        names: of the user attributes that are looked for.
    """
    backend = getattr(storage._storage, "_backend", None)
    if isinstance(backend, Database):
        return backend.outlines(storage._study_id, names)
    return [
        Outline(
            trial._trial_id, trial.state, trial.values or [], trial.user_attrs.keys() & set(names)
        )
        for trial in storage.get_trials(deepcopy=False)
    ]


def is_shared(folder: Path, url: str | None = None) -> bool:
    """Whether several drivers may use the run's storage at once."""
    return _chosen(folder, url) not in (None, "journal")


@contextmanager
def storage_errors(folder: Path, url: str | None = None) -> Iterator[None]:
    """Within it, what a storage raises becomes one sentence.

    Raises:
        RunError: in its place.
    """
    name = url or _chosen(folder, None)
    places = {None: str(folder / DATABASE), "journal": str(folder / JOURNAL)}
    place = places[name] if name in places else _shown(name or "")
    try:
        yield
    except Exception as error:
        if not (isinstance(error, SQLAlchemyError | StorageInternalError) or _is_rpc_error(error)):
            raise
        raise RunError(
            f"{place}: cannot be used as the study's storage: {_reason(error)}; "
            "mend that and run the same command again"
        ) from None


def _chosen(folder: Path, url: str | None) -> str | None:
    """The storage's name, with a password where ``url`` has one; None for SQLite in the folder."""
    file = folder / FILE
    saved = read_json(file)["url"] if file.exists() else None
    begun = saved is not None or (folder / DATABASE).exists()
    if url is None:
        return saved
    _check_url(url)
    if begun and _shown(url) != saved:
        raise RunError(
            f"{folder}: was begun with the storage {saved or DATABASE}; leave --storage out, or "
            "give that one"
        )
    return url


def _check_url(url: str) -> None:
    if url == "journal" or url.startswith(GRPC):
        return
    try:
        dialect = make_url(url).get_backend_name()
    except ArgumentError:
        dialect = None
    if dialect is None or dialect == "sqlite":
        raise RunError(
            f"--storage {url}: must be journal, the URL of a database server, such as "
            "postgresql+psycopg://USER@HOST/DATABASE, or grpc://HOST:PORT; for SQLite leave it out"
        )


def _shown(url: str) -> str:
    """The storage's name without a password."""
    if url == "journal" or url.startswith(GRPC):
        return url
    full = make_url(url)
    query = {key: value for key, value in full.query.items() if "pass" not in key.lower()}
    bare = URL.create(
        full.drivername, full.username, None, full.host, full.port, full.database, query
    )
    return bare.render_as_string()


def _open(folder: Path, url: str | None, writes: bool) -> BaseStorage:
    if url is None:
        return _file((folder / DATABASE).resolve(), writes)
    if url == "journal":
        file = folder / JOURNAL
        backend = JournalFileBackend(str(file), lock_obj=JournalFileOpenLock(str(file)))
        return optuna.storages.JournalStorage(backend)
    return _patient(_proxy(url) if url.startswith(GRPC) else _server(url))


def _file(file: Path, writes: bool) -> BaseStorage:
    """SQLite. A driver's commits do not each wait for the disk, which they do dozens of a trial.

    With a write-ahead log a loss of power costs the last commits, and a kill none. Closed, the
    file is as SQLite makes it by itself, for readers on read-only media.
    """
    # who only reads need not compare versions, which takes a tenth of a second
    database = Database(f"sqlite:///{file}", skip_compatibility_check=not writes)
    storage = optuna.storages.get_storage(database)
    if writes:
        event.listen(database.engine, "connect", _log_ahead)
        database.engine.dispose()  # connect anew
        weakref.finalize(storage, _log_no_more, database.engine)
    else:
        weakref.finalize(storage, database.engine.dispose)
    return storage


def _log_ahead(connection: sqlite3.Connection, _: object) -> None:
    connection.execute("PRAGMA journal_mode=WAL").close()
    connection.execute("PRAGMA synchronous=NORMAL").close()


def _log_no_more(engine: Engine) -> None:
    event.remove(engine, "connect", _log_ahead)
    engine.dispose()
    with suppress(SQLAlchemyError), engine.connect() as connection:
        connection.exec_driver_sql("PRAGMA journal_mode=DELETE")
    engine.dispose()


def _server(url: str) -> BaseStorage:
    settings: dict[str, Any] = {"pool_pre_ping": True}
    if make_url(url).get_backend_name() == "postgresql":
        settings["connect_args"] = {"connect_timeout": CONNECT_TIMEOUT}
    try:
        database = Database(url, engine_kwargs=settings)
    except ImportError as error:
        reason = str(error).split(".")[0]
        raise RunError(
            f"{_shown(url)}: its driver is not installed ({reason}); "
            "pip install 'ir2search[cluster]'"
        ) from None
    storage = optuna.storages.get_storage(database)
    weakref.finalize(storage, database.engine.dispose)  # its connections would else stay open
    return storage


def _proxy(url: str) -> BaseStorage:
    host, _, port = url.removeprefix(GRPC).rpartition(":")
    if not host or not port.isdigit():
        raise RunError(f"--storage {url}: must be grpc://HOST:PORT")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            proxy = optuna.storages.GrpcStorageProxy(host=host, port=int(port))
        proxy.wait_server_ready(timeout=CONNECT_TIMEOUT)
    except ImportError:
        raise RunError(f"{url}: needs grpcio; pip install 'ir2search[cluster]'") from None
    except Exception as error:
        if _is_rpc_error(error) or isinstance(error, ConnectionError):
            raise RunError(f"{url}: no storage proxy answers there; start one first") from None
        raise
    return proxy


def _claim(opened: optuna.Study, folder: Path, name: str, definition: str) -> None:
    """Bind a shared storage's study and the run's folder to each other, unless they are."""
    token, attributes = read_json(folder / FILE)["run"], opened.user_attrs
    found = f"{name}: has a study {opened.study_name!r}"
    hint = "name the study otherwise, or use another database"
    if "run" not in attributes and opened.get_trials(deepcopy=False):
        raise RunError(f"{found} that was not begun by `ir2search run`; {hint}")
    if attributes.get("run", token) != token:
        raise RunError(f"{found} of another run's folder; {hint}")
    asked, made = json.loads(definition), json.loads(attributes.get("definition", definition))
    for key in asked.keys() | made.keys():
        if asked.get(key) != made.get(key):
            raise RunError(f"{found} with another {key}; {hint}")
    opened.set_user_attr("run", token)
    opened.set_user_attr("definition", definition)


def _patient(storage: BaseStorage) -> BaseStorage:
    """The storage, each of whose operations waits for a database that is away to come back."""
    retrying = Retrying(
        retry=retry_if_exception(_may_pass),
        wait=wait_exponential(multiplier=0.2, max=5),
        stop=stop_after_delay(PATIENCE),
        before_sleep=lambda state: storage.remove_session(),  # its transaction is lost
        reraise=True,
    )
    names = [name for name in dir(BaseStorage) if not name.startswith("_")]
    methods = {name: _patiently(retrying, getattr(storage, name)) for name in names}
    patient: BaseStorage = type("PatientStorage", (BaseStorage,), methods)()
    return patient


def _patiently(retrying: Retrying, operation: Callable[..., Any]) -> Any:
    def call(*arguments: Any, **named: Any) -> Any:
        for attempt in retrying.copy():
            with attempt:
                return _once_more(attempt.retry_state, operation, *arguments, **named)
        return None

    return staticmethod(call)


def _once_more(
    state: RetryCallState, operation: Callable[..., Any], *arguments: Any, **named: Any
) -> Any:
    try:
        return operation(*arguments, **named)
    except UpdateFinishedTrialError:
        if state.attempt_number == 1:
            raise
        return True  # the attempt before did it, and only its answer was lost


def _may_pass(error: BaseException) -> bool:
    """Whether the database is only away: restarting, or beyond a network that is down."""
    cause = error.__cause__ if isinstance(error, StorageInternalError) else error
    if isinstance(cause, DBAPIError) and cause.connection_invalidated:
        return True
    return isinstance(cause, AWAY) or _is_rpc_error(cause)


def _is_rpc_error(error: BaseException | None) -> bool:
    return any(kind.__name__ == "RpcError" for kind in type(error).__mro__)


def _reason(error: BaseException | None) -> str:
    cause = error.__cause__ if isinstance(error, StorageInternalError) else error
    return str(getattr(cause, "orig", None) or cause).strip().splitlines()[0]
