"""The messages of this package for values that pydantic refuses."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import Field, TypeAdapter, ValidationError

from ir2search.errors import RunError

Shape = TypeVar("Shape")

Share = Annotated[float, Field(ge=0, le=1)]  # for example an accuracy
Epochs = Annotated[int, Field(strict=True, ge=1, le=1_000_000)]  # of a training

RULES: Mapping[str, str] = {  # by pydantic's type of error; the context of the error fills the {}
    "greater_than": "must be above {gt:g}",
    "greater_than_equal": "must be at least {ge:g}",
    "less_than": "must be below {lt:g}",
    "less_than_equal": "must be at most {le:g}",
    "finite_number": "must be finite",
    "int_type": "must be a whole number",
    "int_from_float": "must be a whole number",
    "int_parsing": "must be a whole number",
    "float_type": "must be a number",
    "float_parsing": "must be a number",
    "string_type": "must be text",
    "string_too_long": "must have at most {max_length} characters",
    "bool_type": "must be true or false",
    "bool_parsing": "must be true or false",
    "list_type": "must be a list",
    "tuple_type": "must be a list",
    "too_short": "must have at least {min_length} values",
    "too_long": "must have at most {max_length} values",
    "missing": "is missing; add it",
    "missing_argument": "is missing",
    "dataclass_type": "must be a table",
    "is_instance_of": "must be a table",
    "mapping_type": "must be a table",
    "dict_type": "must be a table",
}


def checked(value: object, shape: type[Shape], file: Path) -> Shape:
    """Check the type of a value from a run's file; tables become dataclasses.

    Keys that a dataclass does not have are dropped.

    Raises:
        RunError: the value has another type; the message names the file and the field.
    """
    try:
        found: Shape = _adapters(shape).validate_python(value)
        return found
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(map(str, first["loc"])) or "its value"
        raise RunError(f"{file}: {field}: {rule_of(first)}; restore or remove the file") from None


_adapters: Callable[[Any], TypeAdapter[Any]] = functools.cache(TypeAdapter)


def rule_of(error: Mapping[str, Any]) -> str:
    """The rule that a value breaks, such as "must be above 0"; ``error`` is pydantic's."""
    kind, context = error["type"], error.get("ctx", {})
    if kind in ("value_error", "assertion_error"):
        return str(context["error"])
    if kind == "literal_error":
        return f"must be one of {', '.join(options_of(error))}"
    rule = RULES.get(kind, f"breaks the rule {kind!r}")
    return rule.format(**context)


def options_of(error: Mapping[str, Any]) -> list[str]:
    """The allowed values of a field with a list of choices; empty for other errors of pydantic."""
    is_choice = error["type"] == "literal_error"
    return re.findall(r"'([^']+)'", error["ctx"]["expected"]) if is_choice else []
