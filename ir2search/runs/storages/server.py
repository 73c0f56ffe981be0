"""Storages that several drivers share: a database server, or Optuna's gRPC proxy in front of one.

While the server cannot be reached, each operation is repeated.
"""

from __future__ import annotations

import warnings
import weakref
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import optuna
from optuna.exceptions import StorageInternalError, UpdateFinishedTrialError
from optuna.storages import BaseStorage

from ir2search.errors import MissingExtraError, RunError, first_line
from ir2search.extras import require
from ir2search.urls import without_secrets

if TYPE_CHECKING:
    from sqlalchemy.engine import URL
    from tenacity import RetryCallState, Retrying

RETRY_TIMEOUT = 300.0  # seconds for which a failed operation is repeated
CONNECT_TIMEOUT = 10  # seconds


def open_server(url: URL) -> BaseStorage:
    """Connect to a database server.

    Raises:
        MissingExtraError: the driver for this kind of database is not installed.
        RunError: the database has tables of another version of Optuna, or its driver does not know
            a setting of the URL.
    """
    shown = without_secrets(url).render_as_string()
    settings: dict[str, Any] = {"pool_pre_ping": True}
    if url.get_backend_name() == "postgresql":
        settings["connect_args"] = {"connect_timeout": CONNECT_TIMEOUT}
    text = url.render_as_string(hide_password=False)
    template = text.replace("{", "{{").replace("}", "}}")  # Optuna formats it
    try:
        database = optuna.storages.RDBStorage(template, engine_kwargs=settings)
    except ImportError as error:
        reason = str(error).split(".")[0]
        raise MissingExtraError(
            f"{shown}: its driver is not installed ({reason}); pip install 'ir2search[cluster]'"
        ) from None
    except (RuntimeError, TypeError, ValueError) as error:
        reason = first_line(error)
        raise RunError(
            f"{shown}: cannot be used as the study's storage: {reason}; use another database"
        ) from None
    weakref.finalize(database, database.engine.dispose)  # connections would stay open
    return _with_retries(optuna.storages.get_storage(database))


def open_proxy(url: URL) -> BaseStorage:
    """Connect to Optuna's gRPC proxy by ``grpc://HOST:PORT``.

    Raises:
        RunError: no proxy answers.
        MissingExtraError: grpcio is not installed.
    """
    assert url.host is not None, "the name was checked"
    assert url.port is not None, "the name was checked"
    host = f"[{url.host}]" if ":" in url.host else url.host
    require("grpc", extra="cluster")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            proxy = optuna.storages.GrpcStorageProxy(host=host, port=url.port)
        proxy.wait_server_ready(timeout=CONNECT_TIMEOUT)
    except Exception as error:
        if is_rpc_error(error) or isinstance(error, ConnectionError):
            raise RunError(
                f"{url.render_as_string()}: no storage proxy answers there; start one first"
            ) from None
        raise
    return _with_retries(proxy)


def is_rpc_error(error: BaseException | None) -> bool:
    """Whether this is an error of gRPC, by its name, because grpcio may not be installed."""
    return any(kind.__name__ == "RpcError" for kind in type(error).__mro__)


def _with_retries(storage: BaseStorage) -> BaseStorage:
    """The storage, with operations that are repeated while the database cannot be reached."""
    tenacity = require("tenacity", extra="cluster")
    retrying = tenacity.Retrying(
        retry=tenacity.retry_if_exception(_is_temporary),
        wait=tenacity.wait_exponential(multiplier=0.2, max=5),
        stop=tenacity.stop_after_delay(RETRY_TIMEOUT),
        before_sleep=lambda state: storage.remove_session(),  # its transaction is lost
        reraise=True,
    )
    names = [name for name in dir(BaseStorage) if not name.startswith("_")]
    methods = {name: _retried(retrying, getattr(storage, name)) for name in names}
    retried: BaseStorage = type("RetryingStorage", (BaseStorage,), methods)()
    return retried


def _retried(retrying: Retrying, operation: Callable[..., Any]) -> Any:
    def call(*arguments: Any, **named: Any) -> Any:
        for attempt in retrying.copy():
            with attempt:
                return _attempt(attempt.retry_state, operation, *arguments, **named)
        return None

    return staticmethod(call)


def _attempt(
    attempts: RetryCallState, operation: Callable[..., Any], /, *arguments: Any, **named: Any
) -> Any:
    try:
        return operation(*arguments, **named)
    except UpdateFinishedTrialError:
        if attempts.attempt_number == 1:
            raise
        return True  # the previous attempt succeeded, but its answer was lost


def _is_temporary(error: BaseException) -> bool:
    """Whether an error may be temporary: the database restarts, or the network is down."""
    from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError, PendingRollbackError

    cause = error.__cause__ if isinstance(error, StorageInternalError) else error
    if isinstance(cause, DBAPIError) and cause.connection_invalidated:
        return True
    away = (OperationalError, InterfaceError, PendingRollbackError)
    return isinstance(cause, away) or is_rpc_error(cause)
