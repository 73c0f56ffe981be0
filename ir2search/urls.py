"""Read URLs of databases with SQLAlchemy, and show them without secrets."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sqlalchemy.engine import URL

# Settings in a URL's query that hold no secret; all others are left out.
NOT_SECRET = frozenset(
    {
        "application_name", "charset", "connect_timeout", "driver", "host", "options", "port",
        "service", "ssl_ca", "sslmode", "sslrootcert", "target_session_attrs", "unix_socket",
    }
)  # fmt: skip


def parse_url(given: str) -> URL | None:
    """Read a URL; None if it is malformed, because any part of it can then be a password."""
    from sqlalchemy.engine import make_url
    from sqlalchemy.exc import ArgumentError

    try:
        url = make_url(given)
    except (ArgumentError, ValueError):
        return None
    is_clear = "@" not in (url.host or "") and ":" not in (url.username or "")
    return url if is_clear else None


def without_secrets(url: URL) -> URL:
    """Remove the password of a URL, and the settings that may hold one."""
    from sqlalchemy.engine import URL

    query = {key: value for key, value in url.query.items() if key.lower() in NOT_SECRET}
    return URL.create(url.drivername, url.username, None, url.host, url.port, url.database, query)


def recorded_argument(argument: str) -> str:
    """Remove secrets from an argument of a command line.

    Only the scheme, the host and the database of a URL are kept. An argument that looks like a URL
    and cannot be read becomes "...".
    """
    is_option = argument.startswith("--") and "=" in argument
    option, equals, value = argument.partition("=") if is_option else ("", "", argument)
    if "://" not in value and not ("@" in value and ":" in value):
        return argument
    url = parse_url(value)
    if url is None:
        return f"{option}{equals}..."
    database = (url.database or "").split(";")[0].split("&")[0].split("#")[0]
    return f"{option}{equals}{url.drivername}://{url.host or ''}/{database}"
