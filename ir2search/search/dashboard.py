"""A run in the browser, live: optuna-dashboard on its storage."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from socketserver import ThreadingMixIn
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from ir2search.errors import InputError
from ir2search.runs.saved import saved_study
from ir2search.runs.storages import open_storage


class _Quiet(WSGIRequestHandler):
    def log_message(self, *_: Any) -> None:
        """Say nothing of requests."""


class _Server(ThreadingMixIn, WSGIServer):
    """Answers in threads: there nobody swallows Ctrl-C, as wsgiref does, and none waits long."""

    daemon_threads = True


def serve(folder: str | Path, host: str, port: int, *, on_ready: Callable[[str], None]) -> None:
    """Serve the dashboard of a run until Ctrl-C.

    Args:
        folder: the run's.
        host: address to listen at.
        port: 0 for one that is free.
        on_ready: told the page's address once it can be opened.

    Raises:
        RunError: there is no run.
        InputError: optuna-dashboard is not installed, or the address cannot be had.
    """
    try:
        from optuna_dashboard import wsgi
    except ImportError:
        raise InputError(
            "the dashboard is not installed; pip install 'ir2search[dashboard]'"
        ) from None
    folder = Path(folder)
    storage = open_storage(folder, saved_study(folder)).backend
    try:
        server = make_server(host, port, wsgi(storage), _Server, _Quiet)
    except OSError as error:
        raise InputError(
            f"--host {host} --port {port}: cannot be listened at ({error.strerror}); "
            "try --port 0 for one that is free"
        ) from None
    with server:
        on_ready(f"http://{host}:{server.server_port}/dashboard/")
        server.serve_forever()
