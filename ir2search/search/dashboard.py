"""Show a run in the browser while it works: optuna-dashboard on the run's storage."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from socketserver import ThreadingMixIn
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from ir2search.errors import InputError
from ir2search.extras import require
from ir2search.runs.saved import saved_study
from ir2search.runs.storages import open_storage


class _SilentHandler(WSGIRequestHandler):
    def log_message(self, *_: Any) -> None:
        """Do not print requests."""


class _Server(ThreadingMixIn, WSGIServer):
    """Answers each request in its own thread: in the main one, wsgiref would ignore Ctrl-C."""

    daemon_threads = True


def serve(folder: str | Path, host: str, port: int, *, on_ready: Callable[[str], None]) -> None:
    """Serve the dashboard of a run until Ctrl-C.

    Args:
        folder: the run's folder.
        host: the address to listen on.
        port: the port to listen on; 0 for any free one.
        on_ready: called with the page's address once it can be opened.

    Raises:
        RunError: there is no run.
        MissingExtraError: optuna-dashboard is not installed.
        InputError: the address is not available.
    """
    dashboard = require("optuna_dashboard", extra="dashboard")
    folder = Path(folder)
    storage = open_storage(folder, saved_study(folder)).backend
    try:
        server = make_server(host, port, dashboard.wsgi(storage), _Server, _SilentHandler)
    except OSError as error:
        raise InputError(
            f"host {host}, port {port}: not available ({error.strerror}); "
            "use port 0 for any free port"
        ) from None
    with server:
        on_ready(f"http://{host}:{server.server_port}/dashboard/")
        server.serve_forever()
