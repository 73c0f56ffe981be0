"""User code: registries, and the modules that fill them.

A study file can name modules, ``modules = ["my_networks.py"]``. In a module, decorators such as
`ir2search.register_backbone` register objects by name. Installed packages do the same with the
entry point group ``ir2search.extensions``, whose entries are modules.

**Trust.** `ir2search run` runs the code of the modules that the study file names, with all rights
of the user. Read modules before you use them, as you would read a program. A run's folder has a
copy of each module. The copy is run only if the user has started the run or has called
`ir2search trust`. Study files without ``modules`` run no code.
"""

from __future__ import annotations

import hashlib
import importlib
import logging
import shlex
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from functools import cache
from importlib.metadata import entry_points
from pathlib import Path
from types import ModuleType
from typing import Generic, TypeVar

from ir2search import text
from ir2search.errors import InputError, IR2SearchError, RunError, StudyError
from ir2search.files import read_bytes, read_toml
from ir2search.trust import trust_code, trusts_code

GROUP = "ir2search.extensions"
FOLDER = "modules"  # in a run's folder, for copies of the study's modules
SUMS = "SHA256SUMS"  # in that folder, in the format of `sha256sum --check`
LARGEST = 4 << 20  # bytes of a module
T = TypeVar("T")

_logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Owner:
    name: str
    version: str


# the module whose code runs now; None outside user code
_owner: ContextVar[_Owner | None] = ContextVar("owner", default=None)


class Registry(Mapping[str, T], Generic[T]):
    """Objects by name: those of this package, and those that user code has registered.

    Args:
        kind: the kind of object, for messages.
        builtin: the objects of this package.
    """

    def __init__(self, kind: str, builtin: Mapping[str, T]) -> None:
        self.kind = kind
        self._entries: dict[str, T] = dict(builtin)
        self._owners: dict[str, _Owner | None] = {}

    def register(self, name: str, entry: T) -> None:
        """Add an object; the same module may register a name again.

        Raises:
            StudyError: this package or another module has registered the name.
        """
        owner, before = _owner.get(), self._owners.get(name)
        is_again = owner is not None and before is not None and owner.name == before.name
        if name in self._entries and not is_again:
            raise StudyError(f"{self.kind} {name!r}: the name is taken; choose another")
        self._entries[name] = entry
        self._owners[name] = owner

    def added(self) -> list[str]:
        """Names that user code has registered."""
        load_installed()
        return list(self._owners)

    def origins(self) -> dict[str, str]:
        """Module and version of each name that user code has registered."""
        load_installed()
        return {
            name: f"{owner.name} {owner.version}" if owner else ""
            for name, owner in self._owners.items()
        }

    def missing(self, name: object) -> str:
        """A message for an unknown name, with a suggestion."""
        return f"no {self.kind} {name!r}; {text.suggest(name, self)}"

    def __getitem__(self, name: str) -> T:
        if name not in self._entries:
            load_installed()
        return self._entries[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)


@dataclass(frozen=True)
class UserModule:
    """A module that a study file names.

    Attributes:
        name: the name in the study file: a file, or an importable module.
        source: the text of the file; None for an importable module.
    """

    name: str
    source: str | None = None

    @property
    def stem(self) -> str:
        """The name of the file without its folder; the name of an importable module."""
        return Path(self.name).name if self.source is not None else self.name

    @property
    def digest(self) -> str:
        """Twelve hexadecimal digits of the source's hash; empty for an importable module."""
        return "" if self.source is None else self.sha256[:12]

    @property
    def sha256(self) -> str:
        """The SHA-256 of the source, or, for an importable module, of a line that imports it."""
        return _sha256(f"import {self.name}\n" if self.source is None else self.source)

    def saved_as(self) -> str:
        """The module's name in the copy of the study file in a run's folder."""
        return self.name if self.source is None else f"{FOLDER}/{self.stem}"


def read_module(name: str, base: Path) -> UserModule:
    """Read a module that a study file in the folder ``base`` names.

    Raises:
        StudyError: the file cannot be read.
    """
    if not name.endswith(".py"):
        return UserModule(name)
    try:
        return UserModule(name, _source(base / name))
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise StudyError(f"modules: {name}: cannot be read from {base} ({reason})") from None


def load_modules(modules: tuple[UserModule, ...]) -> None:
    """Run the code of modules; skip a file whose code this process has run already.

    Raises:
        StudyError: a module is missing, or its code fails; the message gives the line.
    """
    for module in modules:
        with _owned_by(module.stem, module.digest):
            _load(module)


def trust_modules(modules: tuple[UserModule, ...]) -> bool:
    """Trust the content of modules from now on, in any folder.

    Returns:
        Whether later processes trust it too; False if the user's file cannot be written.
    """
    return not modules or trust_code({module.sha256: module.name for module in modules})


def check_trusted(folder: Path, modules: tuple[UserModule, ...]) -> None:
    """Check that the user trusts the modules of a run.

    Raises:
        RunError: the user does not trust them; the message says how to.
    """
    if names := _not_trusted(modules):
        raise RunError(_how_to_trust(folder, names))


@contextmanager
def with_modules(folder: Path, modules: tuple[UserModule, ...]) -> Iterator[None]:
    """Load the modules of a run, if the user trusts them, before the body of the ``with`` runs.

    If the user does not trust them, the body runs without them, and the log gets a warning.

    Raises:
        RunError: the body fails without the modules that the user does not trust.
        StudyError: the code of a module fails.
    """
    names = _not_trusted(modules)
    if not names:
        load_modules(modules)
        yield
        return
    try:
        yield
    except InputError as error:
        raise RunError(f"{_how_to_trust(folder, names)} (without them: {error})") from None
    _warn_once(f"{_how_to_trust(folder, names)}; what they add is missing until then")


def read_modules_of_run(folder: Path, names: object = None) -> tuple[UserModule, ...]:
    """Read the modules of a run; do not run them.

    Args:
        folder: the run's folder.
        names: the modules in its study file; None to read them from there. A folder without a study
            file has none.

    Raises:
        RunError: a file is not in the run's folder, has changed, or cannot be read.
    """
    names = _names_of_run(folder) if names is None else names
    if not isinstance(names, list | tuple) or not all(isinstance(name, str) for name in names):
        raise RunError(f"{folder}: modules in its study file must be a list of names")
    for name in names:
        if name.endswith(".py") and not _is_inside(folder, name):
            raise RunError(
                f"{folder}: its study names the module {name!r}; the modules of a run must be "
                f"regular files in its folder {FOLDER}"
            )
    if names:
        check_copies(folder)
    try:
        return tuple(read_module(name, folder) for name in names)
    except StudyError as error:
        raise RunError(f"{folder}: {error}") from None


def checksums(modules: tuple[UserModule, ...]) -> str:
    """The content of ``SHA256SUMS``: one line for each module that is a file."""
    copied = [module for module in modules if module.source is not None]
    return "".join(f"{_sha256(module.source or '')}  {module.stem}\n" for module in copied)


def check_copies(folder: Path) -> None:
    """Check that the copies of modules in a run's folder are unchanged.

    Raises:
        RunError: a copy has changed.
    """
    sums = folder / FOLDER / SUMS
    try:
        for line in _source(sums).splitlines() if sums.exists() else ():
            digest, _, name = line.partition("  ")
            copy = sums.parent / Path(name).name
            if copy.is_file() and _sha256(_source(copy)) != digest:
                raise RunError(
                    f"{copy}: has changed since the run was created; restore the file, or start "
                    "another run"
                )
    except (OSError, ValueError) as error:
        raise RunError(f"{sums}: cannot be checked ({error}); restore the folder") from None


@contextmanager
def user_code(what: str) -> Iterator[None]:
    """Run user code, and report an exception in it as a sentence that begins with ``what``.

    Raises:
        StudyError: the code raised an exception.
    """
    try:
        yield
    except IR2SearchError:
        raise
    except Exception as error:
        reason = str(error).splitlines()[0] if str(error) else "no message"
        raise StudyError(f"{what} fails: {type(error).__name__}: {reason}") from error


@cache
def load_installed() -> None:
    """Import the modules of installed packages' entry points, once in a process."""
    for entry in entry_points(group=GROUP):
        with _owned_by(entry.name, entry.dist.version if entry.dist else ""):
            try:
                entry.load()
            except Exception as error:
                raise StudyError(
                    f"the installed extension {entry.name!r} ({entry.value}) fails: "
                    f"{type(error).__name__}: {error}; fix or uninstall it"
                ) from error


def _names_of_run(folder: Path) -> object:
    try:
        return read_toml(folder / "study.toml").get("modules", ())
    except (OSError, ValueError):
        return ()


def _is_inside(folder: Path, name: str) -> bool:
    """Whether a name is a regular file in the modules of a run, and not behind a link."""
    place = folder.resolve() / FOLDER
    try:
        file = (folder / name).resolve()
        return Path(name).parent == Path(FOLDER) and file.parent == place and file.is_file()
    except (OSError, ValueError):
        return False


def _not_trusted(modules: tuple[UserModule, ...]) -> list[str]:
    return [module.name for module in modules if not trusts_code(module.sha256)]


def _how_to_trust(folder: Path, names: list[str]) -> str:
    command = shlex.join(["ir2search", "trust", str(folder)])
    return (
        f"{folder}: its modules ({', '.join(names)}) are code that you have not trusted, and were "
        f"not run; read them, then run: {command}"
    )


@cache
def _warn_once(message: str) -> None:
    _logger.warning("%s", message)


def _load(module: UserModule) -> None:
    try:
        if module.source is None:
            importlib.import_module(module.name)
        else:
            _run(module, module.source)
    except StudyError as error:
        raise StudyError(f"modules: {module.name}: {error}") from None
    except ModuleNotFoundError as error:
        raise StudyError(
            f"modules: {module.name}: no module {error.name!r}; install it, or name a file that "
            "ends in .py"
        ) from None
    except (Exception, SystemExit) as error:
        where = _line(error, module)
        raise StudyError(
            f"modules: {module.name}: its code fails{where}: {type(error).__name__}: {error}"
        ) from error


def _run(module: UserModule, source: str) -> None:
    """Run a file's code as a new module; skip code that is already loaded under this name."""
    if _loaded.get(module.stem) == module.digest:
        return
    name = f"ir2search_module_{module.digest}"
    new = ModuleType(name)
    new.__file__ = module.name
    sys.modules[name] = new  # for dataclasses and pickle
    try:
        exec(compile(source, module.name, "exec"), new.__dict__)
    except BaseException:
        del sys.modules[name]
        raise
    _loaded[module.stem] = module.digest


_loaded: dict[str, str] = {}  # digest of the loaded code, by the file's name


def _source(file: Path) -> str:
    """The text of a file, with one kind of line end on all systems."""
    text = read_bytes(file, LARGEST).decode("utf-8")
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _sha256(source: str) -> str:
    return hashlib.sha256(source.encode()).hexdigest()


def _line(error: BaseException, module: UserModule) -> str:
    """The words " in line N" for the line that raised an exception; empty if it is unknown."""
    line = error.lineno if isinstance(error, SyntaxError) else None
    trace = error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == module.name:
            line = trace.tb_lineno
        trace = trace.tb_next
    return f" in line {line}" if line else ""


@contextmanager
def _owned_by(name: str, version: str) -> Iterator[None]:
    token = _owner.set(_Owner(name, version))
    try:
        yield
    finally:
        _owner.reset(token)
