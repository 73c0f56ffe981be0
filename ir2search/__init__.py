"""ir2search: which binary network gives the most accuracy for what a device can afford.

>>> import ir2search as ir
>>> price = ir.cost(ir.Candidate())
>>> price.bops
40108032

Names load on first use, and torch with them.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ir2search.costs import Cost, LayerCost, cost
    from ir2search.data import DataConfig, ImageData, load_data
    from ir2search.errors import IR2SearchError
    from ir2search.nn import BinaryConv2d, InformationRecovery, attention_map, restrict
    from ir2search.released import evaluate_released, load_released
    from ir2search.report import analyze, write_report
    from ir2search.search import RunObserver, Study, front, load_study, run, status, trials
    from ir2search.space import Candidate, Choice, Range, SearchSpace, build
    from ir2search.training import (
        Distillation,
        Recipe,
        load_network,
        recipes,
        train,
        train_network,
    )
    from ir2search.zoo import build_preset, preset, presets

_MODULES = {
    "ir2search.costs": ("Cost", "LayerCost", "cost"),
    "ir2search.data": ("DataConfig", "ImageData", "load_data"),
    "ir2search.errors": ("IR2SearchError",),
    "ir2search.nn": ("BinaryConv2d", "InformationRecovery", "attention_map", "restrict"),
    "ir2search.released": ("evaluate_released", "load_released"),
    "ir2search.zoo": ("build_preset", "preset", "presets"),
    "ir2search.report": ("analyze", "write_report"),
    "ir2search.search": (
        "RunObserver",
        "Study",
        "front",
        "join",
        "load_study",
        "run",
        "status",
        "trials",
    ),
    "ir2search.space": ("Candidate", "Choice", "Range", "SearchSpace", "build"),
    "ir2search.training": (
        "Distillation",
        "Recipe",
        "load_network",
        "recipes",
        "train",
        "train_network",
    ),
}
_ORIGIN = {name: module for module, names in _MODULES.items() for name in names}

__all__ = [
    "BinaryConv2d",
    "Candidate",
    "Choice",
    "Cost",
    "DataConfig",
    "Distillation",
    "IR2SearchError",
    "ImageData",
    "InformationRecovery",
    "LayerCost",
    "Range",
    "Recipe",
    "RunObserver",
    "SearchSpace",
    "Study",
    "analyze",
    "attention_map",
    "build",
    "build_preset",
    "cost",
    "evaluate_released",
    "front",
    "join",
    "load_data",
    "load_network",
    "load_released",
    "load_study",
    "preset",
    "presets",
    "recipes",
    "restrict",
    "run",
    "status",
    "train",
    "train_network",
    "trials",
    "write_report",
]


def __getattr__(name: str) -> Any:
    if name not in _ORIGIN:
        raise AttributeError(f"module 'ir2search' has no attribute {name!r}")
    return getattr(import_module(_ORIGIN[name]), name)


def __dir__() -> list[str]:
    return [*globals(), *__all__]
