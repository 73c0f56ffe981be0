"""Names of storages: ``journal``, the URL of a database server, or ``grpc://HOST:PORT``."""

from __future__ import annotations

from ir2search.errors import RunError

JOURNAL = "journal"
GRPC = "grpc://"


def without_password(name: str) -> str:
    """A storage's name as it may be shown and saved."""
    if name == JOURNAL or name.startswith(GRPC):
        return name
    from sqlalchemy.engine import URL, make_url

    full = make_url(name)
    query = {key: value for key, value in full.query.items() if "pass" not in key.lower()}
    return URL.create(
        full.drivername, full.username, None, full.host, full.port, full.database, query
    ).render_as_string()


def check_name(name: str) -> None:
    """Check the form of a storage's name.

    Raises:
        RunError: the name is malformed.
    """
    if name == JOURNAL or name.startswith(GRPC):
        return
    from sqlalchemy.engine import make_url
    from sqlalchemy.exc import ArgumentError

    try:
        dialect = make_url(name).get_backend_name()
    except ArgumentError:
        dialect = None
    if dialect is None or dialect == "sqlite":
        raise RunError(
            f"storage {name}: must be journal, the URL of a database server, such as "
            "postgresql+psycopg://USER@HOST/DATABASE, or grpc://HOST:PORT; leave it out for a "
            "file in the run's folder"
        )
