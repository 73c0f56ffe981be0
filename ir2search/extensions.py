"""User code: registries, and the modules that fill them.

A study file can name modules, ``modules = ["my_networks.py"]``. In a module, decorators such as
`ir2search.register_backbone` register objects by name. Installed packages do the same with the
entry point group ``ir2search.extensions``, whose entries are modules.

**Trust.** A study file that names a module runs the module's code, with all rights of the user who
runs, resumes, analyses or reports the study. A run's folder has a copy of the module, which every
command on the run executes, even `status`. Read modules before you use them, as you would read a
program. Study files without ``modules`` run no code.
"""

from __future__ import annotations

import hashlib
import importlib
import sys
import tomllib
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
from ir2search.errors import IR2SearchError, RunError, StudyError

GROUP = "ir2search.extensions"
FOLDER = "modules"  # in a run's folder, for copies of the study's modules
SUMS = "SHA256SUMS"  # in that folder, in the format of `sha256sum --check`
T = TypeVar("T")


@dataclass(frozen=True)
class _Owner:
    name: str
    version: str


_owner: ContextVar[_Owner | None] = ContextVar("owner", default=None)  # of the running user code


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
        owners = {name: self._owners[name] for name in self.added()}
        return {
            name: f"{owner.name} {owner.version}" if owner else "" for name, owner in owners.items()
        }

    def missing(self, name: object) -> str:
        """A message that a name is unknown, with a suggestion."""
        return f"no {self.kind} {name!r}; {text.near(name, self)}"

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
        return "" if self.source is None else _sha256(self.source)[:12]

    def saved_as(self) -> str:
        """The name in the study file of a run's folder, which has a copy of the file."""
        return self.name if self.source is None else f"{FOLDER}/{self.stem}"


def read_module(name: str, base: Path) -> UserModule:
    """Read a module that a study file names.

    Args:
        name: the name in the study file.
        base: folder of the study file.

    Raises:
        StudyError: the file cannot be read.
    """
    if not name.endswith(".py"):
        return UserModule(name)
    file = base / name
    try:
        return UserModule(name, file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise StudyError(f"modules: {name}: cannot be read from {base} ({reason})") from None


def load_modules(modules: tuple[UserModule, ...]) -> None:
    """Run the code of modules. A file that has not changed since its last run is skipped.

    Raises:
        StudyError: a module is missing, or its code fails; the message gives the line.
    """
    for module in modules:
        with _owned_by(module.stem, module.digest):
            _load(module)


def load_modules_of_run(folder: Path) -> None:
    """Run the code of the modules of a run; a folder without a study file has none.

    Raises:
        StudyError: a module is missing, or its code fails.
        RunError: the copy of a module in the run's folder has changed.
    """
    try:
        names = tomllib.loads((folder / "study.toml").read_text(encoding="utf-8"))["modules"]
    except (OSError, ValueError, KeyError):
        return
    check_copies(folder)
    load_modules(tuple(read_module(name, folder) for name in names))


def checksums(modules: tuple[UserModule, ...]) -> str:
    """The content of ``SHA256SUMS``: one line for each module that is a file."""
    copied = [module for module in modules if module.source is not None]
    return "".join(f"{_sha256(module.source or '')}  {module.stem}\n" for module in copied)


def check_copies(folder: Path) -> None:
    """Check that the copies of modules in a run's folder are unchanged, before they are run.

    Raises:
        RunError: a copy has changed.
    """
    sums = folder / FOLDER / SUMS
    for line in sums.read_text(encoding="utf-8").splitlines() if sums.is_file() else ():
        digest, _, name = line.partition("  ")
        copy = sums.with_name(name)
        if copy.is_file() and _sha256(copy.read_text(encoding="utf-8")) != digest:
            raise RunError(
                f"{copy}: has changed since the run was created; restore the file, or start "
                "another run"
            )


@contextmanager
def user_code(what: str) -> Iterator[None]:
    """Run user code, and report an exception in it as one sentence.

    Args:
        what: name of the code, the first words of the sentence.

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
    """Run a file's code as a new module, unless the same code of that name ran last."""
    if _last.get(module.stem) == module.digest:
        return
    name = f"ir2search_module_{module.digest}"
    made = ModuleType(name, None)
    made.__file__ = module.name
    sys.modules[name] = made  # for dataclasses and pickle
    try:
        exec(compile(source, module.name, "exec"), made.__dict__)
    except BaseException:
        del sys.modules[name]
        raise
    _last[module.stem] = module.digest


_last: dict[str, str] = {}  # digest of the code that this process ran last, by the file's name


def _sha256(source: str) -> str:
    return hashlib.sha256(source.encode()).hexdigest()


def _line(error: BaseException, module: UserModule) -> str:
    """The words "in line N" for the line that raised an exception; empty if it is unknown."""
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
