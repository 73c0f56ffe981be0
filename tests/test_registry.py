from __future__ import annotations

import pytest

from ir2search.errors import CandidateError, StudyError
from ir2search.extensions import (
    UserModule,
    load_modules,
)
from ir2search.registry import Registry, user_code


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


def test_an_error_in_user_code_is_one_sentence_and_keeps_its_cause() -> None:
    with pytest.raises(StudyError, match="reader 'mine' fails: KeyError: 'x'") as caught:  # noqa: SIM117
        with user_code("reader 'mine'"):
            raise KeyError("x")
    assert isinstance(caught.value.__cause__, KeyError)
    with pytest.raises(CandidateError, match="of this package"), user_code("reader 'mine'"):
        raise CandidateError("an error of this package")
