"""The searched values of a ``[recipe]`` section of a study file."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ir2search.errors import SpaceError, StudyError
from ir2search.space import RECIPE, Domain, SearchSpace, ends
from ir2search.study.space_section import domain_of, value_of
from ir2search.training.recipe import Recipe

TABLES = ("distillation", "pretraining")  # sections of their own, not ranges


def split_recipe(values: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Domain]]:
    """Take the searched values out of a ``[recipe]`` section.

    Args:
        values: of the section. A list is a choice and a table with low and high is a range, as in
            ``[space]``; the others are fixed.

    Returns:
        The section with the first value of each domain in its place; and the domains, by the
        names of parameters of a `SearchSpace`.

    Raises:
        StudyError: a list or a range is malformed, a field cannot be searched, or a value of its
            domain is not valid.
    """
    fixed, searched = dict(values), {}
    for name, value in values.items():
        if name in TABLES and isinstance(value, Mapping):
            continue
        try:
            domain = domain_of(name, value)
        except SpaceError as error:
            raise StudyError(f"[recipe] {error}") from None
        if domain is not None:
            for end in ends(domain):
                Recipe().with_values({name: end})
            searched[RECIPE + name] = domain
            fixed[name] = ends(domain)[0]
    return fixed, searched


def searched_as_dict(space: SearchSpace) -> dict[str, Any]:
    """The searched values as values of a ``[recipe]`` section; `split_recipe` reads them back."""
    return {name: value_of(domain) for name, domain in recipe_domains(space).items()}


def recipe_domains(space: SearchSpace) -> dict[str, Domain]:
    """The domains of the recipe's searched fields, by field."""
    return {
        name.removeprefix(RECIPE): domain
        for name, domain in space.searched.items()
        if name.startswith(RECIPE)
    }
