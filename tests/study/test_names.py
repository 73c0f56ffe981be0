from __future__ import annotations

from pathlib import Path

import pytest

from ir2search.study.names import checked_name, name_of


@pytest.mark.parametrize(
    ("file", "name"),
    [
        ("mine.toml", "mine"),
        ("a/my study.toml", "my-study"),
        ("my  study (2).toml", "my-study-2"),
        ("Étude_1.2.toml", "Etude_1.2"),
        (".hidden.toml", "hidden"),
        ("研究.toml", "研究"),
    ],
)
def test_a_study_is_named_after_its_file(file: str, name: str) -> None:
    assert name_of(Path(file)) == name


@pytest.mark.parametrize("name", ["", ".", "../up", "a b", "-a", "a\n", "研究", "a" * 101])
def test_a_name_that_cannot_be_that_of_a_folder_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match=r"^must have (only letters from a to z|at most 100)"):
        checked_name(name)


def test_a_good_name_stays() -> None:
    assert checked_name("Cifar-10_v1.2") == "Cifar-10_v1.2"
