"""The ``[space]`` section of a study file: parsed to a `SearchSpace`, and written back."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from ir2search.errors import SpaceError
from ir2search.space import BY_STAGE, RECIPE, TABLES, Choice, Domain, Range, SearchSpace, field_of

MAX_VALUES = 10_000  # of one parameter
LARGEST = 1e15  # number in a range
_TABLE_RULES = {
    "taps": "must be a table of true, false or [true, false] by tap",
    "binary": "must be a table by stage or layer, such as { stage3 = [true, false] }",
} | dict.fromkeys(BY_STAGE, "must be a table by stage, such as { stage2 = [0.5, 1.0] }")


def parse_space(values: Mapping[str, Any]) -> SearchSpace:
    """The space of a ``[space]`` section.

    A single value is fixed, a list is a choice, and a table ``{ low, high, step, log }`` is a
    range. ``taps`` is a table with one entry for each tap: true, false, or a list of both.
    ``widths``, ``kernels`` and ``groups`` are tables with an entry for each layer after the stem;
    ``binary`` has entries for stages or for single layers.
    Searched fields of the recipe are domains already, with names such as ``recipe_lr``.

    Raises:
        SpaceError: the section is malformed; the message names the key.
    """
    for name in ("image", "classes"):
        if name in values:
            raise SpaceError(f"{name}: comes from the data; remove it")
    if "recipe" in values:
        raise SpaceError("recipe: searched values of the recipe belong in [recipe]; move them")
    flat: dict[str, Any] = {name: value for name, value in values.items() if name not in TABLES}
    for table in TABLES.keys() & values:
        entries = values[table]
        if not isinstance(entries, Mapping):
            raise SpaceError(f"{table}: {_TABLE_RULES[table]}")
        if table == "binary":
            _check_quotes(entries)
        flat |= {TABLES[table] + name: value for name, value in entries.items()}
    fixed: dict[str, Any] = {}
    searched: dict[str, Domain] = {}
    for name, value in flat.items():
        domain = value if isinstance(value, Choice | Range) else domain_of(name, value)
        if domain is None:
            fixed[name] = value
        else:
            searched[name] = domain
    return SearchSpace(fixed, searched)


def domain_of(name: str, value: object) -> Domain | None:
    """The domain that a value of a study file describes; None for a single value.

    Raises:
        SpaceError: the list or the range is malformed; the message names the key.
    """
    if isinstance(value, list):
        return _choice(name, value)
    return _range(name, value) if isinstance(value, Mapping) else None


def value_of(domain: Domain) -> list[Any] | dict[str, Any]:
    """A domain as a value of a study file; `domain_of` reads it back."""
    if isinstance(domain, Choice):
        return list(domain.values)
    return {name: value for name, value in asdict(domain).items() if value is not None}


def space_as_dict(space: SearchSpace) -> dict[str, Any]:
    """A space as the values of a ``[space]`` section, without the recipe's fields.

    `parse_space` reads them back.
    """
    searched = {
        n: value_of(domain) for n, domain in space.searched.items() if not n.startswith(RECIPE)
    }
    values: dict[str, Any] = {}
    tables: dict[str, Any] = {}
    for name, value in {**space.fixed, **searched}.items():
        field = field_of(name)
        if field in TABLES:
            tables.setdefault(field, {})[name.removeprefix(TABLES[field])] = value
        else:
            values[name] = value
    return values | tables


def _check_quotes(entries: Mapping[str, Any]) -> None:
    """Refuse ``stage3.0 = false`` without quotes, which TOML reads as a table in a table."""
    for name, value in entries.items():
        if isinstance(value, Mapping):
            inner = next(iter(value), "0")
            raise SpaceError(f'binary: write "{name}.{inner}" in quotes, or give no range')


def _choice(name: str, values: list[Any]) -> Choice:
    if not values or len(set(map(repr, values))) < len(values):
        raise SpaceError(f"{name}: must list one or more different values, but got {values}")
    _check_count(name, len(values))
    return Choice(tuple(values))


def _range(name: str, values: Mapping[str, Any]) -> Range:
    unknown = set(values) - {"low", "high", "step", "log"}
    if unknown or not {"low", "high"} <= set(values):
        raise SpaceError(f"{name}: a range has low and high, and may have step or log")
    numbers = {key: value for key, value in values.items() if key != "log"}
    for key, number in numbers.items():
        if isinstance(number, bool) or not isinstance(number, int | float):
            raise SpaceError(f"{name}: {key} must be a number, but got {number!r}")
        if not abs(number) < math.inf:
            raise SpaceError(f"{name}: {key} must be finite, but got {number}")
        if abs(number) > LARGEST:
            raise SpaceError(f"{name}: {key} must be from {-LARGEST:g} to {LARGEST:g}")
    if not isinstance(values.get("log", False), bool):
        raise SpaceError(f"{name}: log must be true or false, but got {values['log']!r}")
    domain = Range(**values)
    if domain.low >= domain.high:
        raise SpaceError(f"{name}: low must be below high, but got {domain.low}, {domain.high}")
    if domain.step is not None and domain.step <= 0:
        raise SpaceError(f"{name}: step must be above 0, but got {domain.step}")
    if domain.log and (domain.low <= 0 or domain.step is not None):
        raise SpaceError(f"{name}: a log range needs low above 0, and takes no step")
    _check_count(name, domain.count or 0)
    return domain


def _check_count(name: str, count: int) -> None:
    if count > MAX_VALUES:
        raise SpaceError(f"{name}: may have at most {MAX_VALUES} values, but has {count:.3g}")
