"""Recognise a file of weights by its content, not by its name.

A torch checkpoint is a pickle. torch unpickles it without running code. That can take very long, so
the operations of the pickle are counted first.
"""

from __future__ import annotations

import io
import pickletools
import re
import stat
import zipfile
from pathlib import Path
from typing import Any, Literal

from ir2search import text
from ir2search.errors import WeightsError

LARGEST = 1 << 30  # bytes of a file, and of what a zip archive unpacks to
LARGEST_HEADER = 16 << 20  # bytes of the names in a safetensors file, or of a pickle
MOST_OPERATIONS = 500_000  # of a pickle; a tensor takes about 32
MOST_VALUES = 2_000  # in a tuple of a pickle, with the tuples in it
HEAD = 4096  # bytes that are enough to know a file's kind
LEGACY = b"l\xfc\x9cF\xf9 j\xa8P\x19"  # torch before version 1.6 begins files with this number
LEGACY_PICKLES = 5  # number, version, system, the object, and the names of its storages

UNPACK = "unpack it and give the weights in it"
SAVE = "save the weights with torch.save(model.state_dict(), FILE)"
OTHERS = (  # first bytes, what such a file is, and what to do
    (b"version https://git-lfs", "a pointer of Git LFS", "get the file with `git lfs pull`"),
    (b"/annex/objects/", "a pointer of git-annex", "get the file with `git annex get`"),
    (b"\x1f\x8b", "a gzip archive", UNPACK),
    (b"BZh", "a bzip2 archive", UNPACK),
    (b"\xfd7zXZ", "an xz archive", UNPACK),
    (b"\x28\xb5\x2f\xfd", "a zstd archive", UNPACK),
    (b"7z\xbc\xaf", "a 7z archive", UNPACK),
    (b"Rar!", "a RAR archive", UNPACK),
    (b"\x89HDF", "an HDF5 file, as Keras writes it", SAVE),
    (b"\x93NUMPY", "a NumPy array", SAVE),
    (b"GGUF", "a GGUF file", SAVE),
    (b"PAR1", "a parquet file", SAVE),
    (b"\x89PNG", "a PNG image", SAVE),
    (b"\xff\xd8\xff", "a JPEG image", SAVE),
    (b"%PDF", "a PDF document", SAVE),
    (b"\x7fELF", "a program", SAVE),
)
# objects in the pickle of a state_dict, as module and name; torch checks those of its own modules
PLAIN = re.compile(
    r"torch(\.\S+)? \S+|collections (OrderedDict|Counter)|_codecs encode"
    r"|(__builtin__|builtins) (set|complex)"
)
ONNX = re.compile(rb"\x08[\x01-\x20]\x12.")  # version of the format, then the name of the producer

Kind = Literal["safetensors", "torch"]


def kind_of(file: Path) -> Kind:
    """Tell a file in safetensors format from a torch checkpoint, without unpickling it.

    Raises:
        OSError: the file cannot be read.
        WeightsError: it is something else, which the message names, or it is too large.
    """
    status = file.stat()
    if not stat.S_ISREG(status.st_mode):
        what = "a folder" if stat.S_ISDIR(status.st_mode) else "a pipe or a device"
        raise WeightsError(f"{file}: is {what}, not a file of weights; give the file")
    _check_size(file, status.st_size)
    if not status.st_size:
        raise WeightsError(f"{file}: is empty; get the file again")
    with file.open("rb") as stream:
        head = stream.read(HEAD)
        if head.startswith(b"PK\x03\x04"):
            _check_zip(file)
            return "torch"
        if head.startswith(b"\x80") and LEGACY in head[:20]:
            stream.seek(0)
            _check_pickle(file, stream.read(LARGEST_HEADER), LEGACY_PICKLES)
            return "torch"
    header = int.from_bytes(head[:8], "little")
    if head[8:9] == b"{" and header <= max(status.st_size - 8, LARGEST_HEADER):
        if header > LARGEST_HEADER:
            limit = text.size(LARGEST_HEADER)
            raise WeightsError(f"{file}: its header is larger than {limit}; save fewer tensors")
        return "safetensors"
    raise WeightsError(f"{file}: is {_other(head)}")


def _other(head: bytes) -> str:
    """Describe a file without weights, and say what to do."""
    for start, what, advice in OTHERS:
        if head.startswith(start):
            return f"{what}, not weights; {advice}"
    if head[257:262] == b"ustar":
        return f"a tar archive, not weights; {UNPACK}"
    if re.match(rb"\x80[\x02-\x05]", head):
        return f"a Python pickle that torch did not write, and could run code; {SAVE}"
    if ONNX.match(head):
        return f"an ONNX model, not weights; {SAVE}"
    return _text(head)


def _text(head: bytes) -> str:
    words = head.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if words.startswith((b"<!doctype html", b"<html", b"<head", b"<body")):
        return "a web page, not weights; get the file itself from that page"
    if words.startswith(b"<"):
        return "XML, not weights, such as the error message of a server; get the file again"
    try:
        decoded = head.decode("utf-8") if len(head) < HEAD else head[:-3].decode("utf-8", "ignore")
        is_text = all(each.isprintable() or each.isspace() for each in decoded)
    except UnicodeDecodeError:
        is_text = False
    what = "text" if is_text else "not in a format of weights"
    return f"{what}; give a .safetensors file, or a checkpoint of torch.save"


def _check_zip(file: Path) -> None:
    """Check a zip archive, as torch has written it since version 1.6."""
    try:
        with zipfile.ZipFile(file) as archive:
            entries = {entry.filename: entry for entry in archive.infolist()}
            _check_size(file, sum(entry.file_size for entry in entries.values()))
            pickle = next((name for name in entries if Path(name).name == "data.pkl"), None)
            if any(Path(name).name == "constants.pkl" for name in entries):
                raise WeightsError(f"{file}: is a TorchScript program, not weights; {SAVE}")
            if any(name.endswith(".npy") for name in entries):
                raise WeightsError(f"{file}: is an archive of NumPy arrays, not weights; {SAVE}")
            if pickle is None:
                raise WeightsError(f"{file}: is a zip archive that torch did not write; {UNPACK}")
            content = archive.open(pickle).read(LARGEST_HEADER + 1)
    except (zipfile.BadZipFile, OSError, NotImplementedError, RuntimeError, ValueError, EOFError):
        raise damaged(file) from None
    if len(content) > LARGEST_HEADER:
        raise _too_large(file, f"{LARGEST_HEADER:,} bytes")
    _check_pickle(file, content, 1)


def _check_pickle(file: Path, content: bytes, count: int) -> None:
    """Check the size of ``count`` pickles, which follow each other; they are not unpickled."""
    stream, operations = io.BytesIO(content), 0
    try:
        for _ in range(count):
            sizes = _Sizes()
            for opcode, argument, _ in pickletools.genops(stream):
                operations += 1
                if operations > MOST_OPERATIONS:
                    raise _too_large(file, f"{MOST_OPERATIONS:,} operations")
                if opcode.name == "GLOBAL" and not PLAIN.fullmatch(str(argument)):
                    raise not_only_tensors(file, str(argument).replace(" ", "."))
                if sizes.follow(opcode, argument) > MOST_VALUES:
                    raise _too_large(file, f"{MOST_VALUES:,} values in a tuple")
    except (ValueError, IndexError):
        raise damaged(file) from None


class _Sizes:
    """Follows the stack of a pickle, and counts the values in each tuple.

    A tuple can contain another tuple many times. Hashing such a tuple can take hours, or recurse
    until the process crashes.
    """

    def __init__(self) -> None:
        self._stack: list[int] = []
        self._marks: list[int] = []
        self._memo: dict[int, int] = {}

    def follow(self, opcode: Any, argument: Any) -> int:
        """Follow one operation; return the number of values in the tuple that it makes."""
        name, before = opcode.name, opcode.stack_before
        if name == "MARK":
            self._marks.append(len(self._stack))
        elif name.endswith("PUT"):
            self._memo[int(argument)] = self._stack[-1]
        elif name == "MEMOIZE":
            self._memo[len(self._memo)] = self._stack[-1]
        elif name.endswith("GET"):
            self._stack.append(self._memo.get(int(argument), 1))
        elif name == "DUP":
            self._stack.append(self._stack[-1])
        else:
            taken = self._take(before)
            size = 1 + sum(taken) if name.startswith("TUPLE") else 1
            self._stack += [size] * len(opcode.stack_after)
            return size
        return 1

    def _take(self, before: list[Any]) -> list[int]:
        start = len(self._stack) - len(before)
        if pickletools.markobject in before:
            start = self._marks.pop() - before.index(pickletools.markobject)
        if start < 0:
            raise IndexError
        taken = self._stack[start:]
        del self._stack[start:]
        return taken


def not_only_tensors(file: Path, name: str | None) -> WeightsError:
    """The error for a checkpoint with other objects; ``name`` is the class of one, if known."""
    what = "more than tensors and plain values" if name is None else f"an object of {name:.100}"
    return WeightsError(f"{file}: has {what}, which could run code, so it is not read; {SAVE}")


def damaged(file: Path) -> WeightsError:
    """The error for a file that begins as weights do but cannot be read."""
    return WeightsError(f"{file}: is damaged or cut short; get the file again")


def _check_size(file: Path, size: int) -> None:
    if size > LARGEST:
        raise WeightsError(
            f"{file}: has {size:,} bytes, but weights may have {LARGEST:,}; save only a state_dict"
        )


def _too_large(file: Path, what: str) -> WeightsError:
    return WeightsError(f"{file}: its pickle has more than {what}; save only a state_dict")
