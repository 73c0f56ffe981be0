from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from ir2search.errors import MissingCompilerError
from ir2search.kernels import web


def test_the_module_was_compiled_from_these_sources() -> None:
    assert web.module().startswith(b"\0asm\1\0\0\0")


def test_a_module_of_other_sources_is_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(web, "MODULE", tmp_path / "old.wasm")
    (tmp_path / "old.wasm").write_bytes(web.module.__globals__["_digest"]()[::-1])
    with pytest.raises(MissingCompilerError, match=r"other sources; run `make wasm`.* clang, lld"):
        web.module()


def test_the_module_can_be_compiled_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if shutil.which("clang") is None or shutil.which("wasm-ld") is None:
        pytest.skip(f"needs {web.NEEDS}")
    web.compile_module(tmp_path / "new.wasm")
    new, shipped = (tmp_path / "new.wasm").read_bytes(), web.module()
    assert new[-40:] == shipped[-40:]
    assert len(new) == pytest.approx(len(shipped), rel=0.2), "another version of clang"
    monkeypatch.setattr(web, "MODULE", tmp_path / "new.wasm")
    assert web.module() == new


def test_a_missing_compiler_is_one_sentence(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(MissingCompilerError, match="install clang, lld and wasi-libc"):
        web.compile_module(tmp_path / "new.wasm")
    assert not list(tmp_path.iterdir())
