"""What people add from outside the package: registries, and the modules that fill them.

A study file names modules of its author's, ``modules = ["my_networks.py"]``, in which decorators
such as `ir2search.register_backbone` make things known by a name; installed packages do the same
through the entry point group ``ir2search.extensions``, whose entries are modules.

**Trust.** A study file that names a module runs its code, with all the rights of whoever runs,
resumes, analyses or reports on the study; and so does a run's folder, which holds a copy of the
module, for every command that takes a run, be it `status`. Read them first, as you would a program.
Study files without ``modules`` run no code.
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
FOLDER = "modules"  # of a run's folder, where its modules are copied to
SUMS = "SHA256SUMS"  # there, as `sha256sum --check` reads it
T = TypeVar("T")


@dataclass(frozen=True)
class _Owner:
    name: str
    version: str


_owner: ContextVar[_Owner | None] = ContextVar("owner", default=None)  # whose code is being run


class Registry(Mapping[str, T], Generic[T]):
    """Things by name: the package's own, and those that modules have registered.

    Args:
        kind: what they are, for messages.
        own: the package's.
    """

    def __init__(self, kind: str, own: Mapping[str, T]) -> None:
        self.kind = kind
        self._things: dict[str, T] = dict(own)
        self._owners: dict[str, _Owner | None] = {}

    def register(self, name: str, thing: T) -> None:
        """Make a thing known by a name.

        Raises:
            StudyError: the name is taken by the package or by another module.
        """
        owner, before = _owner.get(), self._owners.get(name)
        is_again = owner is not None and before is not None and owner.name == before.name
        if name in self._things and not is_again:
            raise StudyError(f"{self.kind} {name!r}: the name is taken; choose another")
        self._things[name] = thing
        self._owners[name] = owner

    def added(self) -> list[str]:
        """Names that are not the package's own."""
        load_installed()
        return list(self._owners)

    def origins(self) -> dict[str, str]:
        """Of each name that is not the package's own, whose it is and in which version."""
        owners = {name: self._owners[name] for name in self.added()}
        return {
            name: f"{owner.name} {owner.version}" if owner else "" for name, owner in owners.items()
        }

    def missing(self, name: object) -> str:
        """A sentence on a name that is not there."""
        return f"no {self.kind} {name!r}; {text.near(name, self)}"

    def __getitem__(self, name: str) -> T:
        if name not in self._things:
            load_installed()
        return self._things[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._things)

    def __len__(self) -> int:
        return len(self._things)


@dataclass(frozen=True)
class UserModule:
    """A module that a study file names.

    Attributes:
        name: as the study file has it: a file, or what is imported.
        source: the file's text, which goes wherever the study goes; None for what is imported.
    """

    name: str
    source: str | None = None

    @property
    def stem(self) -> str:
        """The file's name without folders, by which a run's folder keeps it."""
        return Path(self.name).name if self.source is not None else self.name

    @property
    def digest(self) -> str:
        """Of the source; empty for what is imported."""
        return "" if self.source is None else _sha256(self.source)[:12]

    def saved_as(self) -> str:
        """How the study file of a run's folder names it."""
        return self.name if self.source is None else f"{FOLDER}/{self.stem}"


def read_module(name: str, base: Path) -> UserModule:
    """A module of a study file that lies in the folder ``base``.

    Raises:
        StudyError: it is a file that cannot be read.
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
    """Run the code of modules; not again what this process ran last under the same name.

    Raises:
        StudyError: one that there is not, or whose code fails; the message says where.
    """
    for module in modules:
        with _owned_by(module.stem, module.digest):
            _load(module)


def load_modules_of_run(folder: Path) -> None:
    """Run the code of the modules that a run's folder holds or names, if it is one with any.

    Raises:
        StudyError: see `load_modules`.
        RunError: see `check_copies`.
    """
    try:
        names = tomllib.loads((folder / "study.toml").read_text(encoding="utf-8"))["modules"]
    except (OSError, ValueError, KeyError):
        return
    check_copies(folder)
    load_modules(tuple(read_module(name, folder) for name in names))


def checksums(modules: tuple[UserModule, ...]) -> str:
    """What `check_copies` compares with: a line for each module that is a file."""
    copied = [module for module in modules if module.source is not None]
    return "".join(f"{_sha256(module.source or '')}  {module.stem}\n" for module in copied)


def check_copies(folder: Path) -> None:
    """Check, before any of it is run, that a run's modules are those that it was made with.

    Raises:
        RunError: one has changed.
    """
    sums = folder / FOLDER / SUMS
    for line in sums.read_text(encoding="utf-8").splitlines() if sums.is_file() else ():
        digest, _, name = line.partition("  ")
        copy = sums.with_name(name)
        if copy.is_file() and _sha256(copy.read_text(encoding="utf-8")) != digest:
            raise RunError(
                f"{copy}: has changed since the run was made with it; put the file back, or begin "
                "another run"
            )


@contextmanager
def foreign(what: str) -> Iterator[None]:
    """Run what is not the package's own code: what goes wrong there is said in one sentence.

    Raises:
        StudyError: ``what`` failed.
    """
    try:
        yield
    except IR2SearchError:
        raise
    except Exception as error:
        reason = str(error).splitlines()[0] if str(error) else "no reason given"
        raise StudyError(f"{what} fails: {type(error).__name__}: {reason}") from None


@cache
def load_installed() -> None:
    """Import the modules that installed packages offer, once in a process."""
    for entry in entry_points(group=GROUP):
        with _owned_by(entry.name, entry.dist.version if entry.dist else ""):
            try:
                entry.load()
            except Exception as error:
                raise StudyError(
                    f"the installed extension {entry.name!r} ({entry.value}) fails: "
                    f"{type(error).__name__}: {error}; mend or uninstall it"
                ) from None


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
            f"modules: {module.name}: there is no module {error.name!r}; install it, or name a "
            "file that ends in .py"
        ) from None
    except (Exception, SystemExit) as error:
        where = _line(error, module)
        raise StudyError(
            f"modules: {module.name}: its code fails{where}: {type(error).__name__}: {error}"
        ) from None


def _run(module: UserModule, source: str) -> None:
    """Run a file's code as a module of its own, unless it was the last of that name."""
    if _last.get(module.stem) == module.digest:
        return
    name = f"ir2search_module_{module.digest}"
    made = ModuleType(name, None)
    made.__file__ = module.name
    sys.modules[name] = made  # so that dataclasses and pickle find it
    try:
        exec(compile(source, module.name, "exec"), made.__dict__)
    except BaseException:
        del sys.modules[name]
        raise
    _last[module.stem] = module.digest


_last: dict[str, str] = {}  # digest of what this process ran last, by the file's name


def _sha256(source: str) -> str:
    return hashlib.sha256(source.encode()).hexdigest()


def _line(error: BaseException, module: UserModule) -> str:
    """At which line of the module an error came about, where that is known."""
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
