"""What people add from outside the package: registries, and the modules that fill them.

A study file names modules of its author's, ``modules = ["my_networks.py"]``, in which decorators
such as `ir2search.register_backbone` make things known by a name; installed packages do the same
through the entry point group ``ir2search.extensions``, whose entries are modules.

**Trust.** A study file that names a module runs its code, with all the rights of whoever runs,
resumes, analyses or reports on the study; and so does a run's folder, which holds a copy of the
module. Read them first, as you would a program. Study files without ``modules`` run no code.
"""

from __future__ import annotations

import hashlib
import importlib
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
from ir2search.errors import StudyError

GROUP = "ir2search.extensions"
FOLDER = "modules"  # of a run's folder, where its modules are copied to
T = TypeVar("T")

_owner: ContextVar[str | None] = ContextVar("owner", default=None)  # whose code is being run


class Registry(Mapping[str, T], Generic[T]):
    """Things by name: the package's own, and those that modules have registered.

    Args:
        kind: what they are, for messages.
        own: the package's.
    """

    def __init__(self, kind: str, own: Mapping[str, T]) -> None:
        self.kind = kind
        self._things: dict[str, T] = dict(own)
        self._owners: dict[str, str | None] = {}

    def register(self, name: str, thing: T) -> None:
        """Make a thing known by a name.

        Raises:
            StudyError: the name is taken by the package or by another module.
        """
        owner = _owner.get()
        if name in self._things and (owner is None or self._owners.get(name) != owner):
            raise StudyError(f"{self.kind} {name!r}: the name is taken; choose another")
        self._things[name] = thing
        self._owners[name] = owner

    def added(self) -> list[str]:
        """Names that are not the package's own."""
        return list(self._owners)

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
        return hashlib.sha256((self.source or "").encode()).hexdigest()[:12] if self.source else ""

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
    """Run the code of modules, each once in a process.

    Raises:
        StudyError: one that there is not, or whose code fails; the message says where.
    """
    for module in modules:
        with _owned_by(module.stem):
            _load(module)


@cache
def load_installed() -> None:
    """Import the modules that installed packages offer, once in a process."""
    for entry in entry_points(group=GROUP):
        with _owned_by(entry.name):
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
    except Exception as error:
        where = _line(error, module)
        raise StudyError(
            f"modules: {module.name}: its code fails{where}: {type(error).__name__}: {error}"
        ) from None


def _run(module: UserModule, source: str) -> None:
    """Run a file's code as a module of its own, unless this process did already."""
    name = f"ir2search_module_{module.digest}"
    if name in sys.modules:
        return
    made = ModuleType(name, None)
    made.__file__ = module.name
    sys.modules[name] = made  # so that dataclasses and pickle find it
    try:
        exec(compile(source, module.name, "exec"), made.__dict__)
    except BaseException:
        del sys.modules[name]
        raise


def _line(error: Exception, module: UserModule) -> str:
    """At which line of the module an error came about, where that is known."""
    line = error.lineno if isinstance(error, SyntaxError) else None
    trace = error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == module.name:
            line = trace.tb_lineno
        trace = trace.tb_next
    return f" in line {line}" if line else ""


@contextmanager
def _owned_by(name: str) -> Iterator[None]:
    token = _owner.set(name)
    try:
        yield
    finally:
        _owner.reset(token)
