"""Names of storages: ``journal``, the URL of a database server, or ``grpc://HOST:PORT``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ir2search.errors import RunError
from ir2search.urls import parse_url, without_secrets

if TYPE_CHECKING:
    from sqlalchemy.engine import URL

JOURNAL = "journal"
GRPC = "grpc"  # scheme of a URL


def without_password(name: str) -> str:
    """A storage's name as it may be shown and saved.

    A malformed URL may hold a password anywhere: "that was given" stands for it in messages.
    """
    if name == JOURNAL:
        return name
    url = parse_url(name)
    if url is not None:
        return without_secrets(url).render_as_string()
    may_hold_secret = any(mark in name for mark in "@:=/")
    return "that was given" if may_hold_secret else name


def check_name(name: str) -> None:
    """Check the form of a storage's name.

    Raises:
        RunError: the name is malformed; the message has no password.
    """
    if name == JOURNAL:
        return
    url = parse_url(name)
    if url is None or url.get_backend_name() == "sqlite":
        raise RunError(
            f"storage {without_password(name)}: must be journal, the URL of a database server, "
            "such as postgresql+psycopg://USER@HOST:PORT/DATABASE, or grpc://HOST:PORT; leave it "
            "out for a file in the run's folder"
        )
    if url.port is not None and not 0 < url.port < 1 << 16:
        raise RunError(f"storage {without_password(name)}: a port is from 1 to 65535")
    if is_proxy(url) and not _is_address(url):
        raise RunError(f"storage {without_password(name)}: must be grpc://HOST:PORT")


def is_proxy(url: URL) -> bool:
    """Whether a URL is that of Optuna's gRPC proxy."""
    return url.drivername == GRPC


def _is_address(url: URL) -> bool:
    """Whether a URL has a host and a port, and nothing else."""
    rest = (url.username, url.password, url.database, url.query)
    return bool(url.host) and url.port is not None and not any(rest)
