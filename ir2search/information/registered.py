"""Measures that users register, taken on the maps of every layer."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from ir2search.errors import StudyError
from ir2search.registry import Registry, user_code

MapMeasure = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Measure:
    """A measure of the maps of one layer.

    Attributes:
        of: a function from the maps (N, C, H, W) of N images to a value for each image, (N,).
        unit: unit of the values.
    """

    of: MapMeasure
    unit: str


MEASURES: Registry[Measure] = Registry("measure", {})


def register_measure(name: str, unit: str) -> Callable[[MapMeasure], MapMeasure]:
    """Add a measure of every layer to each analysis, with its interval over images.

    Decorates a function from the maps of a layer, (N, C, H, W) float for N images, to a value for
    each image, (N,). It is called with the maps of the network and of its twin.

    Args:
        name: name of the measure in ``information.parquet``.
        unit: unit of the values, such as "bits" or "share".

    Raises:
        StudyError: another measure has this name.
    """

    def register(function: MapMeasure) -> MapMeasure:
        MEASURES.register(name, Measure(function, unit))
        return function

    return register


def measured(maps: Tensor) -> Iterator[tuple[str, str, Tensor]]:
    """Name, unit and values (N,) float64 of each registered measure of maps (N, C, H, W).

    Raises:
        StudyError: a function raised an error, or did not return (N,) values.
    """
    for name in MEASURES.added():
        measure = MEASURES[name]
        with user_code(f"measure {name!r}"):
            values = measure.of(maps)
        if not isinstance(values, Tensor) or values.shape != maps.shape[:1]:
            given = tuple(values.shape) if isinstance(values, Tensor) else type(values).__name__
            raise StudyError(
                f"measure {name!r}: must return a value for each of {len(maps)} images, "
                f"({len(maps)},), but returned {given}"
            )
        yield name, measure.unit, values.detach().to("cpu", torch.float64)
