from __future__ import annotations

from pathlib import Path

import pytest

from ir2search.errors import CandidateError, RunError, StudyError
from ir2search.extensions import (
    FOLDER,
    SUMS,
    Registry,
    UserModule,
    check_copies,
    checksums,
    load_modules,
    read_module,
    user_code,
)


def test_a_registry_holds_builtin_and_registered_entries() -> None:
    registry = Registry("colour", {"red": 1})
    registry.register("green", 2)
    assert dict(registry) == {"red": 1, "green": 2}
    assert registry.added() == ["green"]
    assert registry.origins() == {"green": ""}
    assert registry.missing("gren") == "no colour 'gren'; did you mean 'green'?"
    with pytest.raises(StudyError, match="colour 'red': the name is taken"):
        registry.register("red", 3)


def test_only_the_same_module_can_register_a_name_again() -> None:
    code = "import builtins\nbuiltins._registry.register('green', {})\n"
    import builtins

    builtins._registry = registry = Registry("colour", {"red": 1})  # type: ignore[attr-defined]
    try:
        load_modules((UserModule("a.py", code.format(1)),))
        load_modules((UserModule("a.py", code.format(2)),))
        assert registry["green"] == 2
        with pytest.raises(StudyError, match=r"modules: b\.py: colour 'green': the name is taken"):
            load_modules((UserModule("b.py", code.format(3)),))
    finally:
        del builtins._registry  # type: ignore[attr-defined]


def test_a_module_is_read_from_the_folder_of_the_study_file(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text("x = 1\n")
    module = read_module("mine.py", tmp_path)
    assert (module.source, module.saved_as()) == ("x = 1\n", "modules/mine.py")
    assert read_module("package.module", tmp_path).saved_as() == "package.module"
    with pytest.raises(StudyError, match=r"modules: other\.py: cannot be read from"):
        read_module("other.py", tmp_path)


def test_a_changed_copy_of_a_module_is_found(tmp_path: Path) -> None:
    folder = tmp_path / FOLDER
    folder.mkdir()
    (folder / "mine.py").write_text("x = 1\n")
    (folder / SUMS).write_text(checksums((UserModule("mine.py", "x = 1\n"),)))
    check_copies(tmp_path)
    (folder / "mine.py").write_text("x = 2\n")
    with pytest.raises(RunError, match=r"mine\.py: has changed since the run was created"):
        check_copies(tmp_path)


def test_an_error_in_user_code_is_one_sentence_and_keeps_its_cause() -> None:
    with pytest.raises(StudyError, match="reader 'mine' fails: KeyError: 'x'") as caught:  # noqa: SIM117
        with user_code("reader 'mine'"):
            raise KeyError("x")
    assert isinstance(caught.value.__cause__, KeyError)
    with pytest.raises(CandidateError, match="of this package"), user_code("reader 'mine'"):
        raise CandidateError("an error of this package")
