"""Open the storage of a run, and bind a shared one to the run's folder.

The storage's name is saved in ``storage.json``, without a password. Later calls get the password
from the server's own means: for PostgreSQL, ``PGPASSWORD`` or ``~/.pgpass``. A folder from another
person could name that person's server, and the password would be sent there. A saved name is
therefore used only if this user gave it for this folder before, see `ir2search.trust`.
"""

from __future__ import annotations

import json
import secrets
import shlex
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import optuna
from optuna.exceptions import StorageInternalError
from optuna.storages import BaseStorage

from ir2search.errors import RunError, first_line
from ir2search.files import read_json, write_json
from ir2search.runs.layout import JOURNAL_FILE, SQLITE_FILE, STORAGE_FILE
from ir2search.runs.storages.local import open_journal, open_sqlite
from ir2search.runs.storages.names import JOURNAL, check_name, is_proxy, without_password
from ir2search.runs.storages.server import is_rpc_error, open_proxy, open_server
from ir2search.runs.storages.study import DEFINITION, RUN, RunStudy
from ir2search.study.objectives import OBJECTIVES
from ir2search.study.schema import Study
from ir2search.trust import trust_storage, trusts_storage
from ir2search.urls import parse_url
from ir2search.validation import checked

LOCAL = {None: SQLITE_FILE, JOURNAL: JOURNAL_FILE}  # files in the run's folder, by name


def open_storage(
    folder: Path,
    study: Study,
    url: str | None = None,
    *,
    definition: str = "",
    create: bool = False,
) -> RunStudy:
    """Open the Optuna study of a run.

    Args:
        folder: of the run.
        study: of the run.
        url: the storage's name; by default the saved one.
        definition: what the trials depend on; kept in a shared storage, and compared.
        create: whether to write; a missing storage is then made.

    Raises:
        RunError: the storage is missing, cannot be reached or read, or holds another study; or the
            user did not give it for this folder.
    """
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    name = _storage_name(folder, url)
    if name is not None and name not in LOCAL:
        _check_trusted(folder, name, is_given=url is not None)
    if name in LOCAL and not create and not (folder / LOCAL[name]).exists():
        raise _not_started(folder)
    with storage_errors(folder, name):
        backend = _open(folder, name, writes=create)
        if not create:
            try:
                return RunStudy(study.name, backend)
            except KeyError:
                raise _not_started(folder) from None
        optuna.create_study(
            study_name=study.name,
            storage=backend,
            directions=[OBJECTIVES[objective].direction for objective in study.objectives],
            load_if_exists=True,
        )
        opened = RunStudy(study.name, backend)
        if name is not None and name not in LOCAL:
            _bind(opened, folder, without_password(name), definition)
    return opened


def is_shared(folder: Path, url: str | None = None) -> bool:
    """Whether several drivers may use the run's storage at once."""
    return _storage_name(folder, url) not in LOCAL


@contextmanager
def storage_errors(folder: Path, name: str | None = None) -> Iterator[None]:
    """Turn the errors of a storage into a RunError; ``name`` is by default the saved one."""
    try:
        yield
    except Exception as error:
        if not _is_of_storage(error):
            raise
        name = name or _storage_name(folder, None)
        place = folder / LOCAL[name] if name in LOCAL else without_password(name or "")
        raise RunError(
            f"{place}: cannot be used as the study's storage: {_reason(error)}; "
            "solve that and run the same command again"
        ) from None


def _storage_name(folder: Path, asked: str | None) -> str | None:
    """The storage's name that the user gave, or else the saved one.

    None stands for an SQLite file in the folder of an older run.

    Raises:
        RunError: the name is malformed, or the run was begun with another storage.
    """
    saved = _saved_name(folder)
    begun = saved is not None or any((folder / name).exists() for name in LOCAL.values())
    if saved is None and not (folder / SQLITE_FILE).exists():
        saved = JOURNAL
    if asked is None:
        return saved
    check_name(asked)
    if begun and without_password(asked) != saved:
        raise RunError(
            f"{folder}: was begun with the storage {saved or SQLITE_FILE}, not with "
            f"{without_password(asked)}; leave the storage out, or give that one"
        )
    return asked


def _saved_name(folder: Path) -> str | None:
    """The name in ``storage.json``, without secrets; None without such a file.

    Raises:
        RunError: the file is damaged, or the name is malformed.
    """
    file = folder / STORAGE_FILE
    if not file.exists():
        return None
    content = read_json(file)
    name = content.get("url") if isinstance(content, dict) else None
    if not isinstance(name, str):
        raise RunError(f"{file}: url must be a text; restore or remove the file")
    try:
        check_name(name)
    except RunError as error:
        raise RunError(f"{file}: url: {error}") from None
    return without_password(name)


def _check_trusted(folder: Path, name: str, is_given: bool) -> None:
    """Raise RunError if the user never gave this storage and only the folder names it."""
    shown = without_password(name)
    if is_given:
        trust_storage(folder, shown)
    elif not trusts_storage(folder, shown):
        command = shlex.join(["ir2search", "status", str(folder), "--storage", shown])
        raise RunError(
            f"{folder}: keeps its trials in {shown}, and you have not given this storage for this "
            f"folder before; nothing was connected; if you trust it, run: {command}"
        )


def _not_started(folder: Path) -> RunError:
    return RunError(f"{folder}: the run has not started any trial yet; run it first")


def _open(folder: Path, name: str | None, writes: bool) -> BaseStorage:
    if name is None:
        return open_sqlite(folder / SQLITE_FILE, writes)
    if name == JOURNAL:
        return open_journal(folder / JOURNAL_FILE, writes)
    url = parse_url(name)
    assert url is not None, "the name was checked"
    return open_proxy(url) if is_proxy(url) else open_server(url)


def _bind(opened: RunStudy, folder: Path, name: str, definition: str) -> None:
    """Bind a shared storage's study and the run's folder to each other, once.

    Raises:
        RunError: the study belongs to another folder, or is another study.
    """
    file = folder / STORAGE_FILE
    if not file.exists():
        write_json(file, {"url": name, "run": secrets.token_hex(8)})
    token, attributes = _token(file), opened.user_attrs
    found = f"{name}: has a study {opened.study_name!r}"
    hint = "give the study another name, or use another database"
    if RUN not in attributes and opened.get_trials(deepcopy=False):
        raise RunError(f"{found} that was not begun by `ir2search run`; {hint}")
    if attributes.get(RUN, token) != token:
        raise RunError(f"{found} of another run's folder; {hint}")
    asked, made = json.loads(definition), json.loads(attributes.get(DEFINITION, definition))
    for key in asked.keys() | made.keys():
        if asked.get(key) != made.get(key):
            raise RunError(f"{found} with another {key}; {hint}")
    opened.set_user_attr(RUN, token)
    opened.set_user_attr(DEFINITION, definition)


def _token(file: Path) -> str:
    return checked(read_json(file), _StorageFile, file).run


@dataclass(frozen=True)
class _StorageFile:
    run: str


def _is_of_storage(error: Exception) -> bool:
    if isinstance(error, StorageInternalError) or is_rpc_error(error):
        return True
    alchemy = sys.modules.get("sqlalchemy.exc")  # its import takes longer than most commands
    return alchemy is not None and isinstance(error, alchemy.SQLAlchemyError)


def _reason(error: BaseException) -> str:
    cause = error.__cause__ if isinstance(error, StorageInternalError) else error
    return first_line(getattr(cause, "orig", None) or cause or error)
