"""Files: atomic writes, a lock on a folder, JSON, the user's cache."""

from __future__ import annotations

import errno
import hashlib
import json
import math
import os
import re
import secrets
import shutil
import stat
import tomllib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from ir2search.errors import RunError

LARGEST_FILE = 64 << 20  # largest size of a file to read, in bytes
LARGEST_TOML = 256 << 10  # largest size of a study file, in bytes
LARGEST_COPY = 1 << 32  # largest size of a checkpoint to copy, in bytes
MOST_DOTS = 500  # in a line of a study file


def cache_folder() -> Path:
    """The folder of kernels and logs: ``$XDG_CACHE_HOME`` or ``~/.cache``, then ``ir2search``."""
    return _user_folder("XDG_CACHE_HOME", ".cache")


def state_folder() -> Path:
    """The folder of lists: ``$XDG_STATE_HOME`` or ``~/.local/state``, then ``ir2search``."""
    return _user_folder("XDG_STATE_HOME", ".local/state")


def _user_folder(variable: str, default: str) -> Path:
    given = Path(os.environ.get(variable, ""))
    # The XDG specification says that relative paths are ignored.
    return Path(given if given.is_absolute() else Path.home() / default, "ir2search")


@contextmanager
def locked(folder: Path, patience: float = 0) -> Iterator[None]:
    """Lock a folder against other processes; create it if it is missing.

    Raises:
        RunError: another process has had the lock for ``patience`` seconds, or a symbolic link
            leads out of a protected folder.
    """
    check_links(folder / ".lock")
    make_folder(folder)
    lock = FileLock(folder / ".lock")
    try:
        lock.acquire(timeout=patience)
    except Timeout:
        raise RunError(f"{folder}: another process works in it; wait for it to end") from None
    try:
        yield
    finally:
        lock.release()


def is_locked(folder: Path) -> bool:
    """Whether a process has the lock of a folder, see `locked`; False if that cannot be told."""
    if not (folder / ".lock").exists():
        return False
    try:
        with FileLock(folder / ".lock", timeout=0):
            return False
    except Timeout:
        return True
    except OSError:
        return False


def read_json(file: Path) -> Any:
    """Read a JSON file of a run's folder.

    Raises:
        RunError: the file is missing or damaged.
    """
    return _parsed(file, parse_json)


def read_json_lines(file: Path) -> list[Any]:
    """Read a file with one JSON value in each line, such as ``curve.jsonl``.

    Raises:
        RunError: the file is missing or damaged.
    """
    return _parsed(file, lambda text: [parse_json(line) for line in text.splitlines()])


def parse_json(text: str) -> Any:
    """Parse JSON, without the values that Python's parser adds to it.

    Raises:
        ValueError: it is not valid JSON, or has NaN, an infinity, or half of a surrogate pair.
    """
    value = json.loads(text, parse_constant=_refuse, parse_float=_finite, parse_int=_of_64_bits)
    if "\\ud" in text or "\\uD" in text:
        json.dumps(value, ensure_ascii=False).encode()  # fails on half of a surrogate pair
    return value


def parse_json_values(texts: Mapping[str, str]) -> dict[str, Any]:
    """Parse each value of a file's header as JSON; None for those that are not JSON."""
    return {name: _value_or_none(text) for name, text in texts.items()}


def read_toml(file: Path) -> dict[str, Any]:
    """Read a TOML file, such as a study file.

    Raises:
        OSError: the file is missing, too large or not a regular file.
        ValueError: it is not valid TOML.
    """
    content = read_bytes(file, LARGEST_TOML).decode("utf-8-sig")  # without a byte order mark
    for number, line in enumerate(content.splitlines(), 1):
        if line.count(".") > MOST_DOTS:  # tomllib needs gigabytes for keys with very many parts
            raise ValueError(f"line {number} has more than {MOST_DOTS} dots")
    try:
        values = tomllib.loads(content)
        _check_integers(values)
    except RecursionError as error:
        raise ValueError(str(error)) from None
    return values


def read_bytes(file: Path, limit: int = LARGEST_FILE) -> bytes:
    """Read a regular file of at most ``limit`` bytes.

    Raises:
        OSError: the file is missing, larger, or not a regular file, such as a pipe or a device.
    """
    check_regular(file, limit)
    return file.read_bytes()


def digest_of(file: Path) -> str:
    """The SHA-256 digest of a file, in hexadecimal digits."""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def check_regular(file: Path, limit: int) -> None:
    """Check that a file is a regular one of at most ``limit`` bytes; a pipe would block a reader.

    Raises:
        OSError: the file is missing, larger, or not a regular file, such as a pipe or a device.
    """
    status = file.stat()
    if not stat.S_ISREG(status.st_mode):
        raise OSError(errno.EINVAL, "not a regular file", str(file))
    if status.st_size > limit:
        raise OSError(errno.EFBIG, f"larger than {limit >> 10} KiB", str(file))


def _value_or_none(text: str) -> Any:
    try:
        return parse_json(text)
    except (ValueError, RecursionError):
        return None


def _refuse(number: str) -> float:
    raise ValueError(f"{number} is not a number of JSON")


def _finite(number: str) -> float:
    value = float(number)
    return value if math.isfinite(value) else _refuse(number[:40])


def _of_64_bits(number: str) -> int:
    if len(number) > 20 or not -(2**63) <= int(number) < 2**63:
        raise ValueError(f"the integer {number[:40]} has more than 64 bits")
    return int(number)


def _check_integers(value: Any) -> None:
    """Refuse integers that have more than 64 bits; Python cannot even print very long ones."""
    if isinstance(value, int) and not -(2**63) <= value < 2**63:
        raise ValueError("an integer has more than 64 bits")
    inner = value.values() if isinstance(value, dict) else value
    for each in inner if isinstance(value, dict | list) else ():
        _check_integers(each)


def _parsed(file: Path, parse: Callable[[str], Any]) -> Any:
    try:
        return parse(read_bytes(file).decode("utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise RunError(f"{file}: cannot be read: {error}; restore or remove it") from None


def write_json(file: Path, value: object) -> None:
    """Write JSON; if the process is killed, the old file or the new one is left, never a part."""
    write_text(file, json.dumps(value, indent=2) + "\n")


def encodable(text: str) -> str:
    r"""Replace halves of surrogate pairs by escapes such as ``\udcff``; UTF-8 cannot encode them.

    Python puts them in the names of files that are not UTF-8.
    """
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def write_text(file: Path, text: str) -> None:
    """Write text; if the process is killed, the old file or the new one is left, never a part.

    Characters that UTF-8 cannot encode, as in some names of files, are written as escapes.
    """
    write_bytes(file, encodable(text).encode())


def write_bytes(file: Path, content: bytes) -> None:
    """Write bytes; if the process is killed, the old file or the new one is left, never a part."""
    with replacing(file) as partial:
        partial.write_bytes(content)


@contextmanager
def replacing(file: Path) -> Iterator[Path]:
    """Write to a new file beside ``file``, then rename it to ``file``.

    Each writer has its own partial file, so two writers never mix their parts. The folder is
    created if it is missing. The permissions are those of a new file under the user's umask.

    Yields:
        The path to write to, with the same suffix.

    Raises:
        OSError: the file cannot be written. Other errors of libraries in Rust, such as safetensors,
            become OSErrors.
        RunError: a symbolic link leads out of a protected folder, see `protect`; or the path is
            that of a folder, a device or a pipe.
    """
    make_folder(file.parent)
    if file.exists() and not file.is_file() and not file.is_symlink():
        # the renaming would replace a device or a pipe
        raise RunError(f"{file}: is not a regular file; choose another path to write to")
    partial = file.with_name(f".{secrets.token_hex(4)}.{file.name}")
    try:
        partial.touch(exist_ok=False)
        yield partial
        partial.chmod(0o666 & ~_umask())  # some writers make files that only their owner can read
        partial.replace(file)
    except Exception as error:
        number = re.search(r"\(os error (\d+)\)", str(error))
        if isinstance(error, OSError) or number is None:
            raise
        code = int(number[1])
        raise OSError(code, os.strerror(code), str(file)) from None
    finally:
        partial.unlink(missing_ok=True)


def make_folder(folder: Path) -> None:
    """Make a folder and those above it.

    Raises:
        RunError: a symbolic link leads out of a protected folder, see `protect`.
    """
    check_links(folder)
    folder.mkdir(parents=True, exist_ok=True)


def has_files(folder: Path) -> bool:
    """Whether a folder has files; hidden ones, such as locks and partial files, do not count.

    Raises:
        OSError: it cannot be read, or is not a folder.
    """
    return folder.exists() and any(not path.name.startswith(".") for path in folder.iterdir())


def copy_file(source: Path, target: Path) -> None:
    """Copy a regular file of at most `LARGEST_COPY` bytes, as `replacing` writes one.

    Raises:
        OSError: the file is missing, larger, or not a regular file, such as a pipe or a device.
        RunError: as for `replacing`.
    """
    check_regular(source, LARGEST_COPY)
    with replacing(target) as partial:
        shutil.copyfile(source, partial)


def protect(folder: Path) -> None:
    """Refuse from now on to write in a folder through a symbolic link that leads out of it.

    Use it for folders that can come from other people. The folder itself may be a link.
    """
    _protected[folder.absolute()] = folder.resolve()


def check_links(path: Path) -> None:
    """Check that a path in a protected folder does not lead out of it.

    Raises:
        RunError: a symbolic link leads out of the folder.
    """
    absolute = path.absolute()
    for folder, real in _protected.items():
        if absolute.is_relative_to(folder) and not absolute.resolve().is_relative_to(real):
            raise RunError(f"{path}: a symbolic link leads out of {folder}; remove the link")


_protected: dict[Path, Path] = {}  # resolved paths of protected folders, by absolute path


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
