from __future__ import annotations

from pathlib import Path

import pytest

from ir2search.errors import RunError, StudyError
from ir2search.extensions import (
    FOLDER,
    SUMS,
    UserModule,
    check_copies,
    checksums,
    read_module,
)


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
