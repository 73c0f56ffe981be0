from __future__ import annotations

from typing import Annotated, Any, Literal

import pytest
from pydantic import Field, TypeAdapter, ValidationError

from ir2search.validation import options_of, rule_of


def fault(kind: Any, value: object) -> Any:
    with pytest.raises(ValidationError) as caught:
        TypeAdapter(kind).validate_python(value, strict=True)
    return caught.value.errors()[0]


@pytest.mark.parametrize(
    ("kind", "value", "rule"),
    [
        (Annotated[int, Field(ge=1)], 0, "must be at least 1"),
        (Annotated[float, Field(gt=0.5)], 0.5, "must be above 0.5"),
        (Annotated[int, Field(le=64)], 65, "must be at most 64"),
        (Annotated[float, Field(lt=1)], 1.0, "must be below 1"),
        (Annotated[float, Field(allow_inf_nan=False)], float("nan"), "must be finite"),
        (int, 1.5, "must be a whole number"),
        (float, "1.5", "must be a number"),
        (str, 3, "must be text"),
        (bool, 1, "must be true or false"),
        (tuple[str, ...], "stem", "must be a list"),
        (Annotated[str, Field(max_length=2)], "abc", "must have at most 2 characters"),
        (Literal["sgd", "adam"], "lion", "must be one of sgd, adam"),
        (bytes, 3, "breaks the rule 'bytes_type'"),
    ],
)
def test_errors_of_pydantic_have_messages_of_this_package(
    kind: Any, value: object, rule: str
) -> None:
    assert rule_of(fault(kind, value)) == rule


def test_only_a_choice_has_options() -> None:
    assert options_of(fault(Literal["sgd", "adam"], "lion")) == ["sgd", "adam"]
    assert options_of(fault(int, "lion")) == []
