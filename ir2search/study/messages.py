"""What is wrong with a study file, in one sentence."""

from __future__ import annotations

import typing
from collections.abc import Mapping, Sequence

from pydantic import BaseModel, ValidationError

from ir2search import text
from ir2search.study.objectives import cost_names
from ir2search.validation import options_of, rule_of

UNKNOWN_KEY = ("extra_forbidden", "unexpected_keyword_argument")
NOT_A_TABLE = ("dataclass_type", "is_instance_of", "mapping_type")


def sentence_of(error: ValidationError, model: type[BaseModel]) -> str:
    """The first error of a validation as ``[section] field: rule, but got value``."""
    # a missing key comes last: an unknown key of the same section may be its misspelling
    first = min(error.errors(), key=lambda each: each["type"] == "missing")
    path, kind, value = [str(part) for part in first["loc"]], first["type"], first["input"]
    if not path:  # a rule over several sections: its message names them
        return rule_of(first)
    in_mapping = "[key]" in path
    inner = [part for part in path[1:] if part != "[key]"]
    if path[0] == "objectives":
        inner = []  # the list as a whole
    where = f"[{path[0]}] {'.'.join(inner)}" if inner else path[0]
    if kind in UNKNOWN_KEY or in_mapping:
        name, section = [path[0], *inner][-1], [path[0], *inner][:-1]
        return f"{where}: there is no such key; {text.suggest(name, keys_at(model, section))}"
    if kind in NOT_A_TABLE:
        return f"{where}: must be a table, [{where}], but got {value!r}"
    if kind in ("missing", "value_error"):  # the rules of this package name the value themselves
        return f"{where}: {rule_of(first)}"
    hint = text.did_you_mean(value, options_of(first))
    return f"{where}: {rule_of(first)}, but got {value!r}{hint}"


def keys_at(model: type, path: Sequence[str]) -> list[str]:
    """The keys of the section at a path, such as ``["recipe", "distillation"]``."""
    for name in path:
        annotation = model.__pydantic_fields__[name].annotation  # type: ignore[attr-defined]
        if typing.get_origin(annotation) is Mapping or annotation is Mapping:
            return cost_names()
        options = [each for each in typing.get_args(annotation) if each is not type(None)]
        model = options[0] if options else annotation  # Rungs for Rungs | None
    return list(model.__pydantic_fields__)  # type: ignore[attr-defined]
