"""Registries: objects by name, to which user code can add.

Modules of studies register objects by decorators, see `ir2search.extensions`. Installed packages
do the same with the entry point group ``ir2search.extensions``, whose entries are modules.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from functools import cache
from importlib.metadata import entry_points
from typing import Generic, TypeVar

from ir2search import text
from ir2search.errors import IR2SearchError, StudyError

GROUP = "ir2search.extensions"
T = TypeVar("T")


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


@cache
def load_installed() -> None:
    """Import the modules of installed packages' entry points, once in a process."""
    for entry in entry_points(group=GROUP):
        with owned_by(entry.name, entry.dist.version if entry.dist else ""):
            try:
                entry.load()
            except Exception as error:
                raise StudyError(
                    f"the installed extension {entry.name!r} ({entry.value}) fails: "
                    f"{type(error).__name__}: {error}; fix or uninstall it"
                ) from error


@contextmanager
def owned_by(name: str, version: str) -> Iterator[None]:
    """What is registered in this context belongs to the module of this name and version."""
    token = _owner.set(_Owner(name, version))
    try:
        yield
    finally:
        _owner.reset(token)


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
