"""`SearchSpace`: the candidates that a study can try."""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

from ir2search import text
from ir2search.errors import CandidateError, SpaceError
from ir2search.models.families import FAMILIES, Family
from ir2search.space.candidate import DEFAULT, Candidate, candidate_from_dict
from ir2search.space.domains import Domain, Value, draw, ends, values_of
from ir2search.space.precision import (
    PRECISIONS,
    WRITTEN,
    by_layer,
    layers_of,
    names_of,
    precision_by_name,
)
from ir2search.space.rules import MAX_DEPTH, MAX_SIDE, MAX_WIDTH, STEM_STRIDES, family_of

TAP = "tap_"  # each tap is a parameter tap_<name>, true or false
RECIPE = "recipe_"  # a searched field of the recipe is a parameter recipe_<name>
BINARY = "binary_"  # the precision of a layer or stage is a parameter binary_<name>
# the values of each layer after the stem are the parameters widths_<layer>, ...
BY_STAGE = ("widths", "kernels", "groups")
# tables of a study file, and how the names of their parameters begin
TABLES = {"taps": TAP, "recipe": RECIPE, "binary": BINARY}
TABLES |= {field: f"{field}_" for field in BY_STAGE}

# OPs and memory grow, or shrink, with these fields of a candidate; with ``binary`` from true to
# false
GROWING = ("depth", "width", "taps", "stem_levels", "stem_width", "widths", "kernels", "binary")
SHRINKING = ("stem_stride", "groups")


@dataclass(frozen=True)
class SearchSpace:
    """The candidates that a study can try: each field of a candidate is fixed or searched.

    Parameters are the fields of `Candidate`, but ``tap_<name>`` for each tap instead of ``taps``,
    ``recipe_<name>`` for each searched field of the recipe instead of ``recipe``, and
    ``widths_<layer>``, ``kernels_<layer>`` and ``groups_<layer>`` for each layer after the stem.
    The first of these layers has no width of its own: it is ``width``. ``binary_<name>`` is the
    precision of a layer or stage: true, false for a real one, or ``"int8"``; a layer has the value
    of the smallest part around it.

    Attributes:
        fixed: values by parameter. A parameter that is neither fixed nor searched has its default.
        searched: domains by parameter.

    Raises:
        SpaceError: a parameter is unknown, or no network can have a value of its domain.
    """

    fixed: Mapping[str, Any]
    searched: Mapping[str, Domain]

    def __post_init__(self) -> None:
        if "backbone" in self.searched:
            raise SpaceError(
                "backbone: all networks of a space have the same one, because depths and taps "
                "depend on it; give one name, and write a study file for each backbone"
            )
        family = family_of(str(self.fixed.get("backbone", DEFAULT.backbone)))
        known = {field.name for field in fields(Candidate)} - set(TABLES) | {"fusion_ratio"}
        known -= {"int8_layers", "real_layers"}
        known |= {TAP + name for name in family.taps}
        known |= {BINARY + name for name in names_of(self._layers(family))}
        known |= {f"{field}_{stage}" for field in BY_STAGE for stage in family.stages}
        known -= {f"widths_{stage}" for stage in family.stages[:1]}  # that is `width`
        for name in [*self.fixed, *self.searched]:
            if name not in known and not name.startswith(RECIPE):
                names = (shown(each) for each in known if "." not in each)  # not of single layers
                hint = text.suggest(shown(name), sorted(names))
                raise SpaceError(f"{shown(name)}: no such parameter; {hint}")
        if {"fusion_ratio", "fusion_channels"} <= {*self.fixed, *self.searched}:
            raise SpaceError("fusion_ratio: give it or fusion_channels, not both")
        for name, value in self.fixed.items():
            self._check_value(name, value)
        for name, domain in self.searched.items():
            # the second value too: both ends of a range may be valid where its step is not
            for value in (*ends(domain), *(values_of(domain) or ())[1:2]):
                self._check_value(name, value)

    @classmethod
    def of(cls, candidate: Candidate) -> SearchSpace:
        """The space of one candidate: its fields, without the recipe's, the image and the classes.

        A shape that is the backbone's default is left out.
        """
        values, family = candidate.as_dict(), FAMILIES[candidate.backbone]
        apart = {*TABLES, "image", "classes", "int8_layers", "real_layers"}
        fixed = {n: value for n, value in values.items() if n not in apart and value is not None}
        fixed |= {TAP + name: name in candidate.taps for name in family.taps}
        for field in BY_STAGE:
            pairs = zip(family.stages, values.get(field, ()), strict=False)
            fixed |= {TABLES[field] + stage: value for stage, value in pairs}
        for stage in family.stages[:1]:  # its width is the parameter `width`
            fixed.pop(f"widths_{stage}", None)
        names = precision_by_name(candidate.int8_layers, candidate.real_layers)
        fixed |= {BINARY + name: WRITTEN[precision] for name, precision in names.items()}
        return cls(fixed, {})

    def candidate(self, parameters: Mapping[str, Any]) -> Candidate:
        """Make the candidate with these values of the searched parameters.

        Raises:
            CandidateError: no network has these values, for example because the group size does
                not divide the fusion width.
        """
        values: dict[str, Any] = {}
        tables: dict[str, dict[str, Any]] = {table: {} for table in TABLES}
        for name, value in {**self.fixed, **parameters}.items():
            field = field_of(name)
            target = tables.get(field, values)
            target[name.removeprefix(TABLES.get(field, ""))] = value
        family = FAMILIES[str(values.get("backbone", DEFAULT.backbone))]
        taps = tuple(name for name in family.taps if tables["taps"].get(name, True))
        shape = {name: _by_stage(family, name, tables[name]) for name in BY_STAGE}
        recipe = tuple((name, value) for name, value in tables["recipe"].items())
        values = {"depth": family.depth} | values | shape
        values |= _released(family, values["depth"], tables["binary"])
        return Candidate(**values, taps=taps, recipe=recipe)

    def with_data(self, image: tuple[int, int, int], classes: int) -> SearchSpace:
        """The same space for images (channels, height, width) in this number of classes."""
        return replace(self, fixed={**self.fixed, "image": image, "classes": classes})

    def grid(self) -> Iterator[dict[str, Value]]:
        """Iterate over all combinations of the searched values.

        Raises:
            SpaceError: a searched parameter is continuous.
        """
        axes: list[tuple[Value, ...]] = []
        for name, domain in self.searched.items():
            values = values_of(domain)
            if values is None:
                raise SpaceError(
                    f"{shown(name)}: a grid needs a list of values or a step in the range"
                )
            axes.append(values)
        return (dict(zip(self.searched, point, strict=True)) for point in itertools.product(*axes))

    @property
    def size(self) -> float:
        """Number of combinations of the searched values; infinite with a continuous parameter."""
        values = map(values_of, self.searched.values())
        return math.prod(math.inf if options is None else len(options) for options in values)

    def points(self, generator: random.Random, draws: int) -> Iterator[dict[str, Value]]:
        """Iterate over random values of the searched parameters.

        A space with at most ``draws`` combinations gives each of them once, in random order. A
        larger one gives ``draws`` independent draws.
        """
        if self.size <= draws:
            points = list(self.grid())
            yield from generator.sample(points, len(points))
            return
        for _ in range(draws):
            yield {name: draw(domain, generator) for name, domain in self.searched.items()}

    def corners(self) -> Iterator[Candidate]:
        """Iterate over the valid candidates whose parameters are all at an end of their domain.

        One of them has the minimum of each cost, unless the fusion width is searched: costs
        increase with depth, width and taps, and do not depend on the threshold or the recipe. They
        fall where a wider compact fusion needs fewer copies of its maps. Of `GROWING` and
        `SHRINKING` fields the cheapest value is first.
        """
        names = self.with_costs()
        axes = [cheapest_first(name, self.searched[name]) for name in names]
        for point in itertools.product(*axes):
            try:
                yield self.candidate(dict(zip(names, point, strict=True)))
            except CandidateError:
                continue

    def with_costs(self) -> list[str]:
        """Names of the searched parameters on which costs depend."""
        return [name for name in self.searched if field_of(name) not in ("threshold", "recipe")]

    def _layers(self, family: Family) -> list[str]:
        """Names of the layers of all depths in the space whose precision can be set."""
        domain = self.searched.get("depth")
        depths = ends(domain) if domain else (self.fixed.get("depth", family.depth),)
        found: dict[str, None] = {}
        for depth in depths:
            if isinstance(depth, int) and depth <= MAX_DEPTH and family.has_depth(depth):
                found |= dict.fromkeys(layers_of(family, depth))
        return list(found)

    def _check_value(self, name: str, value: Any) -> None:
        """Raise SpaceError if no network can have this value."""
        if name.startswith(RECIPE):  # the study checks it
            return
        if name.startswith(TAP):
            if not isinstance(value, bool):
                raise SpaceError(f"{shown(name)}: must be true or false, but got {value!r}")
            return
        if name.startswith(BINARY):
            if not isinstance(value, bool) and value != "int8":
                raise SpaceError(f'{shown(name)}: must be true, false or "int8", but got {value!r}')
            return
        backbone = str(self.fixed.get("backbone", DEFAULT.backbone))
        family = family_of(backbone)
        side = min(MAX_SIDE, family.min_side * max(STEM_STRIDES))
        values = {
            "backbone": backbone,
            "depth": family.depth,
            "taps": family.taps,
            "image": (1, side, side),
            **_alone(family, name, value),
        }
        try:
            candidate_from_dict(values, "space")
        except CandidateError as error:
            raise SpaceError(str(error).removeprefix("space: ")) from None


def field_of(name: str) -> str:
    """The field of a candidate that a parameter sets: ``taps`` for ``tap_stem``."""
    return next((table for table, prefix in TABLES.items() if name.startswith(prefix)), name)


def cheapest_first(name: str, domain: Domain) -> Sequence[Value]:
    """The ends of a parameter's domain; the cheapest is first if costs grow or shrink with it."""
    field = field_of(name)
    if field not in GROWING + SHRINKING:
        return ends(domain)
    if field == "binary":
        return sorted(ends(domain), key=list(WRITTEN.values()).index)
    numbers = [value for value in ends(domain) if not isinstance(value, str)]
    return sorted(numbers, reverse=field in SHRINKING)


def _alone(family: Family, name: str, value: Any) -> dict[str, Any]:
    """Fields of a candidate that has this value, and what it needs to be valid."""
    field = field_of(name)
    if field in BY_STAGE:
        fields = {field: _by_stage(family, field, {name.removeprefix(TABLES[field]): value})}
        if field == "groups" and value in range(1, family.base_width * MAX_WIDTH + 1):
            fields["width"] = value / family.base_width  # channels that the groups divide
        return fields
    if name == "fusion_group_size":  # the default fusion width may not be divisible by it
        return {name: value, "fusion": "dense"}
    if name == "stem_kernel" and value in STEM_STRIDES:
        return {name: value, "stem_stride": value}
    return {name: value}


def _released(family: Family, depth: int, given: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a candidate for the values of ``binary``, by layer or stage.

    Raises:
        CandidateError: there is no such layer at this depth.
    """
    if not given or not family.has_depth(depth):  # the candidate names the wrong depth
        return {}
    layers = layers_of(family, depth)
    if absent := [name for name in given if name not in names_of(layers)]:
        raise CandidateError(f"binary.{absent[0]}: no such layer at depth {depth}")
    found = by_layer(layers, given)
    return {
        f"{precision}_layers": tuple(n for n in found if found[n] == WRITTEN[precision])
        for precision in PRECISIONS[1:]
    }


def _by_stage(family: Family, field: str, values: Mapping[str, Any]) -> tuple[Any, ...]:
    """The values of a field by stage; a stage that is not among them has the default."""
    usual = family.shape_defaults()[field]
    pairs = zip(family.stages, usual, strict=True)
    return tuple(values.get(stage, default) for stage, default in pairs)


def shown(name: str) -> str:
    """A parameter's name in a study file: ``taps.stem`` for ``tap_stem``."""
    field = field_of(name)
    return f"{field}.{name.removeprefix(TABLES[field])}" if field in TABLES else name
