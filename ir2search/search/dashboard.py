"""Show a run in the browser while it works: optuna-dashboard on the run's storage."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Callable, Iterable
from pathlib import Path
from socketserver import ThreadingMixIn
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from ir2search.errors import InputError
from ir2search.extras import require
from ir2search.runs.run import Run

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

READING = ("GET", "HEAD")


class _SilentHandler(WSGIRequestHandler):
    def log_message(self, *_: Any) -> None:
        """Do not print requests."""


class _Server(ThreadingMixIn, WSGIServer):
    """Answers each request in its own thread: in the main one, wsgiref would ignore Ctrl-C."""

    daemon_threads = True


def serve(run: Run | str | Path, host: str, port: int, *, on_ready: Callable[[str], None]) -> None:
    """Serve the dashboard of a run until Ctrl-C.

    A page of another site could forge requests in the user's browser. So the dashboard answers
    only requests that name this machine as their host, and a page of another origin can change
    nothing.

    Args:
        run: a run, or its folder.
        host: the address to listen on.
        port: the port to listen on; 0 for any free one.
        on_ready: called with the page's address once it can be opened.

    Raises:
        RunError: there is no run.
        MissingExtraError: optuna-dashboard is not installed.
        InputError: the address is not available.
    """
    dashboard = require("optuna_dashboard", extra="dashboard")
    page = _OwnRequests(dashboard.wsgi(Run.of(run).storage.backend), host)
    try:
        server = make_server(host, port, page, _Server, _SilentHandler)
    except OSError as error:
        raise InputError(
            f"host {host}, port {port}: not available ({error.strerror}); "
            "use port 0 for any free port"
        ) from None
    with server:
        on_ready(f"http://{host}:{server.server_port}/dashboard/")
        server.serve_forever()


class _OwnRequests:
    """A WSGI application that passes requests on to the dashboard, unless they are forged.

    Args:
        page: the dashboard.
        host: the address that the server listens on.
    """

    def __init__(self, page: WSGIApplication, host: str) -> None:
        self._page, self._host = page, host
        self._names = {"localhost", host.lower()}
        if not self._is_local(host):
            self._names |= {socket.gethostname().lower(), socket.getfqdn().lower()}

    def __call__(self, request: WSGIEnvironment, respond: StartResponse) -> Iterable[bytes]:
        host, origin = request.get("HTTP_HOST", ""), request.get("HTTP_ORIGIN")
        if not self._is_own(host):
            return _refusal(respond, "this host is not the dashboard's")
        changes = request["REQUEST_METHOD"] not in READING
        if changes and origin is not None and urlsplit(origin).netloc != host:
            return _refusal(respond, "a page of another origin may not change the study")
        return self._page(request, respond)

    def _is_own(self, host: str) -> bool:
        """Whether the host that a request names is this machine.

        Another site's name can lead to this machine's address, but that name is not a number.
        """
        try:
            name = urlsplit(f"//{host}").hostname
        except ValueError:
            return False
        if name is None or "@" in host:
            return False
        if name in self._names:
            return True
        return self._is_local(name) if self._is_local(self._host) else _address(name) is not None

    @staticmethod
    def _is_local(name: str) -> bool:
        address = _address(name)
        return name.lower() == "localhost" or (address is not None and address.is_loopback)


def _address(name: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(name)
    except ValueError:
        return None


def _refusal(respond: StartResponse, reason: str) -> Iterable[bytes]:
    respond("403 Forbidden", [("Content-Type", "text/plain; charset=utf-8")])
    return [f"{reason}\n".encode()]
