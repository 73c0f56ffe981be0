from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from ir2search.errors import InputError
from ir2search.kernels import build, training


@pytest.fixture
def cold(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Path]:
    """An empty cache folder, and no library in this process."""
    monkeypatch.delenv(training.VARIABLE, raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(build, "BUILT", tmp_path / "built")
    monkeypatch.delenv("CXX", raising=False)
    _forget()
    yield tmp_path / "ir2search"
    _forget()


def _forget() -> None:
    training._loaded.cache_clear()
    training._of_environment.cache_clear()


def test_without_a_compiler_there_are_no_kernels_and_one_warning(
    cold: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.warns(UserWarning, match=r"install a C\+\+ compiler with OpenMP \(none of c\+\+"):
        assert training.library() is None
    assert training.library() is None, "no second warning"
    training.keep_memory()


def test_the_warning_has_the_message_of_a_failing_compiler(
    cold: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    compiler = cold.parent / "compiler"
    compiler.write_text("#!/bin/sh\necho 'fatal: no OpenMP' >&2\nexit 1\n")
    compiler.chmod(0o755)
    monkeypatch.setenv("CXX", str(compiler))
    with pytest.warns(UserWarning, match="fatal: no OpenMP"):
        assert training.library() is None
    assert list(cold.iterdir()) == [], "nothing is left behind"


def test_the_library_is_compiled_once_for_each_source_and_compiler(
    cold: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The compiler is a script that writes its name."""
    for name in ("one", "two"):
        compiler = cold.parent / name
        compiler.write_text('#!/bin/sh\nwhile [ "$1" != -o ]; do shift; done\necho $0 > "$2"\n')
        compiler.chmod(0o755)
        monkeypatch.setenv("CXX", str(compiler))
        file = training._compile("auto")
        assert training._compile("auto") == file
        assert file.read_text().strip() == str(compiler)
    assert len(list(cold.glob("training-*.so"))) == 2


def test_the_arithmetic_can_be_chosen_in_the_environment() -> None:
    program = "from ir2search.kernels import training; print(training.description())"
    environment = os.environ | {training.VARIABLE: "float32"}
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "in float32"


def test_an_unknown_arithmetic_is_an_error_that_names_the_variable(
    cold: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(training.VARIABLE, "float16")
    with pytest.raises(InputError, match="IR2SEARCH_ARITHMETIC must be one of auto, float32, avx2"):
        training.library()
