from __future__ import annotations

from pathlib import Path

import pytest

from ir2search.errors import StudyError
from ir2search.study import load_study

REPOSITORY = Path(__file__).parents[2]


def test_an_unknown_study_lists_a_near_name() -> None:
    with pytest.raises(StudyError, match="did you mean 'digits'"):
        load_study("digit")


@pytest.mark.parametrize("content", [b"trials = ", b"\xff\xfe\x00", b"[space\n"])
def test_a_file_that_is_no_toml_is_named(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "broken.toml"
    file.write_bytes(content)
    with pytest.raises(StudyError, match=r"broken\.toml: not valid TOML"):
        load_study(file)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("a = " + "[" * 5000, "not valid TOML"),
        ("trials = " + "9" * 5000, "not valid TOML"),
        (".".join("a" * 50_000) + " = 1", "line 1 has more than 500 dots"),
        ("a = '" + "x" * (300 << 10) + "'", "larger than"),
    ],
    ids=["deep", "digits", "dots", "large"],
)
def test_a_study_file_is_bounded(tmp_path: Path, content: str, message: str) -> None:
    (tmp_path / "a.toml").write_text(content)
    with pytest.raises(StudyError, match=rf"a\.toml: .*{message}"):
        load_study(tmp_path / "a.toml")


def test_a_byte_order_mark_is_skipped(tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_text("trials = 3\n[space]\ndepth = 8\n", encoding="utf-8-sig")
    assert load_study(tmp_path / "a.toml").trials == 3
