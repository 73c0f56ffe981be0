"""Names of storages: ``journal``, the URL of a database server, or ``grpc://HOST:PORT``."""

from __future__ import annotations

from pathlib import Path

from ir2search.errors import RunError
from ir2search.files import read_json
from ir2search.runs.layout import JOURNAL_FILE, SQLITE_FILE, STORAGE_FILE

JOURNAL = "journal"
GRPC = "grpc://"


def storage_name(folder: Path, asked: str | None) -> str | None:
    """The name of a run's storage.

    Args:
        folder: the run's.
        asked: the name that the user gives, which may have a password.

    Returns:
        The name as asked for, or as saved with the run; None for SQLite in the folder of an older
        run.

    Raises:
        RunError: the name is malformed, or the run was begun with another storage.
    """
    file = folder / STORAGE_FILE
    saved = read_json(file)["url"] if file.exists() else None
    if saved is None:
        begun = (folder / SQLITE_FILE).exists() or (folder / JOURNAL_FILE).exists()
        saved = None if (folder / SQLITE_FILE).exists() else JOURNAL
    else:
        begun = True
    if asked is None:
        return saved
    _check(asked)
    if begun and without_password(asked) != saved:
        raise RunError(
            f"{folder}: was begun with the storage {saved or SQLITE_FILE}, not with "
            f"{without_password(asked)}; leave the storage out, or give that one"
        )
    return asked


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


def _check(name: str) -> None:
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
