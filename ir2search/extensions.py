"""User code: the modules of studies, and whether the user trusts them.

A study file can name modules, ``modules = ["my_networks.py"]``. In a module, decorators such as
`ir2search.register_backbone` register objects by name, see `ir2search.registry`.

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
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import ModuleType

from ir2search.errors import InputError, RunError, StudyError
from ir2search.files import read_bytes, read_toml
from ir2search.registry import owned_by
from ir2search.trust import trust_code, trusts_code

FOLDER = "modules"  # in a run's folder, for copies of the study's modules
SUMS = "SHA256SUMS"  # in that folder, in the format of `sha256sum --check`
LARGEST = 4 << 20  # bytes of a module

_logger = logging.getLogger(__name__)


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
        with owned_by(module.stem, module.digest):
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
    """Load the modules of a run if the user trusts them, then run the body of the ``with``.

    If the user does not trust them, the body runs without them. If it works, the log gets a
    warning; if it fails, the error says that the modules are missing.

    Raises:
        RunError: the body fails without the modules.
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
    return "".join(f"{module.sha256}  {module.stem}\n" for module in copied)


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
