"""The C runtime as its header describes it."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from ir2search.kernels import inference
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
    [body] = re.findall(r"typedef struct \{(.*?)\} ir2_step;", HEADER, re.DOTALL)
    body = re.sub(r"/\*.*?\*/", "", body, flags=re.DOTALL)
    fields = []
    for declaration in body.split(";"):
        names = re.sub(r"const|\w+_t|float", "", declaration, count=2)
        kind = "pointer" if "*" in names else declaration.split()[0] if declaration.strip() else ""
        fields += [(name.strip(" *\n"), kind) for name in names.split(",") if name.strip(" *\n")]
    kinds = {"c_int": "int32_t", "c_ulong": "size_t", "c_void_p": "pointer"}
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
