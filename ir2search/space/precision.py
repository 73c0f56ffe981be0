"""The precision of single layers: which of them are not binary."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeVar, get_args

from ir2search.choices import InputPrecision
from ir2search.models.families import Family
from ir2search.space.domains import Value

PRECISIONS: tuple[InputPrecision, ...] = get_args(InputPrecision)  # by growing cost
# what a study writes in the table ``binary``, by precision
WRITTEN: dict[InputPrecision, Value] = {"binary": True, "int8": "int8", "real": False}
T = TypeVar("T")


def layers_of(family: Family, depth: int) -> tuple[str, ...]:
    """Names of the layers whose precision can be set, from shallow to deep; see `Family`."""
    return family.layers(depth) or family.stages


def names_of(layers: Iterable[str]) -> list[str]:
    """Names that set the precision of layers: of each layer, and of each stage or unit of them."""
    found: dict[str, None] = {}
    for layer in layers:
        parts = layer.split(".")
        found |= dict.fromkeys(".".join(parts[:count]) for count in range(1, len(parts) + 1))
    return list(found)


def precision_by_name(
    int8_layers: Iterable[str], real_layers: Iterable[str]
) -> dict[str, InputPrecision]:
    """The precision of each name in a candidate's ``int8_layers`` and ``real_layers``."""
    int8: dict[str, InputPrecision] = dict.fromkeys(int8_layers, "int8")
    return int8 | dict.fromkeys(real_layers, "real")


def by_layer(layers: Iterable[str], given: Mapping[str, T]) -> dict[str, T]:
    """The value of each layer that has one: its own, or that of the smallest part around it."""
    found = {}
    for layer in layers:
        around = [name for name in given if f"{layer}.".startswith(f"{name}.")]
        if around:
            found[layer] = given[max(around, key=len)]
    return found


def shortest(layers: Sequence[str], chosen: Iterable[str]) -> tuple[str, ...]:
    """The shortest names of some of the layers: that of a stage in place of all its layers."""
    chosen = set(chosen)
    found: dict[str, None] = {}
    for layer in filter(chosen.__contains__, layers):
        stage = layer.partition(".")[0]
        of_stage = {each for each in layers if f"{each}.".startswith(f"{stage}.")}
        found[stage if of_stage <= chosen else layer] = None
    return tuple(found)


def canonical_precision(family: Family, depth: int, values: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a candidate that set precision, in canonical form.

    A network whose layers are all real has real weights and activations, and no names of layers.

    Args:
        family: of the candidate.
        depth: of the candidate.
        values: ``weights``, ``activations``, ``int8_layers`` and ``real_layers``.
    """
    names = precision_by_name(values["int8_layers"], values["real_layers"])
    found = {name: values[name] for name in ("weights", "activations")}
    if not names:
        return found | {"int8_layers": (), "real_layers": ()}
    layers, own = layers_of(family, depth), by_layer(layers_of(family, depth), names)
    int8, real = ([name for name in own if own[name] == kind] for kind in ("int8", "real"))
    if real and len(real) == len(family.layers(depth)):
        found = dict.fromkeys(found, "real")
    if set(found.values()) == {"real"}:
        real = []
    return found | {"int8_layers": shortest(layers, int8), "real_layers": shortest(layers, real)}
