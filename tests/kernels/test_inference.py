"""The C runtime as its header describes it."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from ir2search.doctor import examine
from ir2search.errors import MissingCompilerError
from ir2search.kernels import build, inference
from ir2search.kernels.inference import Form, Operation, Step

HEADER = (inference.SOURCES / "ir2_runtime.h").read_text()
WARNINGS = ("-std=c99", "-Wall", "-Wextra", "-Wconversion", "-pedantic", "-Werror")
COMPILERS = ("gcc", "clang", "arm-none-eabi-gcc", "aarch64-linux-gnu-gcc")


def enum_of(name: str) -> dict[str, int]:
    """Names and values of an enum of the header, without the prefix IR2_."""
    [body] = re.findall(rf"enum {name} \{{(.*?)\}};", HEADER, re.DOTALL)
    body = re.sub(r"/\*.*?\*/", "", body, flags=re.DOTALL)
    names = [each.strip() for each in body.split(",") if each.strip()]
    pairs = [name.partition("=")[::2] for name in names]
    return {
        key.strip().removeprefix("IR2_"): int(value) if value else number
        for number, (key, value) in enumerate(pairs)
    }


def test_operations_and_forms_are_those_of_the_header() -> None:
    assert enum_of("ir2_operation") == {each.name: each.value for each in Operation}
    assert enum_of("ir2_form") == {each.name: each.value for each in Form}


def test_the_fields_of_a_step_are_those_of_the_header() -> None:
    """ctypes and C lay out the same types in the same order alike."""
    [body] = re.findall(r"typedef struct \{([^}]*)\} ir2_step;", HEADER)
    body = re.sub(r"/\*.*?\*/", "", body, flags=re.DOTALL)
    fields = []
    for declaration in body.split(";"):
        names = re.sub(r"const|\w+_t|float|ir2_map", "", declaration, count=2)
        kind = "pointer" if "*" in names else declaration.split()[0] if declaration.strip() else ""
        fields += [(name.strip(" *\n"), kind) for name in names.split(",") if name.strip(" *\n")]
    kinds = {"c_int": "int32_t", "c_ulong": "size_t", "c_void_p": "pointer", "Map": "ir2_map"}
    assert fields == [(name, kinds[kind.__name__]) for name, kind in Step._fields_]


@pytest.mark.parametrize("compiler", COMPILERS)
def test_the_portable_part_compiles_without_a_warning(compiler: str, tmp_path: Path) -> None:
    if shutil.which(compiler) is None:
        pytest.skip(f"{compiler} is not installed")
    source = inference.SOURCES / "ir2_runtime.c"
    command = [compiler, *WARNINGS, "-Os", "-c", "-o", tmp_path / "runtime.o", source]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_the_portable_variant_is_always_there() -> None:
    assert inference.variants()[-1].name == "portable"
    assert inference.variants()[-1].lanes == 1


@pytest.fixture
def cold(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """No compiled runtime in this process, in the cache or in the package, and no compiler."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.delenv("CC", raising=False)
    monkeypatch.setattr(build, "BUILT", tmp_path / "built")
    monkeypatch.setattr(shutil, "which", lambda name: None)
    _forget()
    yield
    _forget()


def _forget() -> None:
    inference.library.cache_clear()
    inference.variants.cache_clear()


@pytest.mark.usefixtures("cold")
def test_without_a_compiler_the_error_says_what_to_install() -> None:
    with pytest.raises(MissingCompilerError, match=r"install a C compiler \(none of cc, gcc"):
        inference.variants()


@pytest.mark.usefixtures("cold")
def test_the_error_has_the_message_of_a_failing_compiler(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    compiler = tmp_path / "compiler"
    compiler.write_text("#!/bin/sh\necho 'fatal: no space left' >&2\nexit 1\n")
    compiler.chmod(0o755)
    monkeypatch.setenv("CC", str(compiler))
    with pytest.raises(MissingCompilerError, match="fatal: no space left"):
        inference.library()
    assert not list(tmp_path.glob("ir2search/*"))


def test_the_doctor_names_the_instructions_of_the_runtime(tmp_path: Path) -> None:
    [found] = (each for each in examine(runs=tmp_path) if each.subject == "1-bit runtime")
    assert (found.state, found.found) == ("good", f"compiled: {inference.variants()[0].name}")
