"""Recipes by name: the paper's recipe of each preset, and a short one for a CPU.

Source of the paper's recipes: Xue et al., "IR²Net", arXiv 2210.02637, section 4.1, and the released
code.
"""

from __future__ import annotations

from dataclasses import replace

from ir2search import text
from ir2search.errors import StudyError
from ir2search.training.recipe import Recipe
from ir2search.zoo.networks import presets

_CIFAR = Recipe()
_IMAGENET_FIRST = Recipe(
    epochs=256,
    batch_size=512,
    optimizer="adam",
    lr=1e-3,
    weight_decay=1e-5,
    crop_padding=0,
    crop_area=0.08,
)
_IMAGENET = replace(_IMAGENET_FIRST, weight_decay=0.0, pretraining=_IMAGENET_FIRST)
_PAPER = {
    "cifar-resnet20": _CIFAR,
    "cifar-resnet18": replace(_CIFAR, epochs=600, lr=0.08),
    "cifar-vgg-small": replace(_CIFAR, epochs=400, lr=0.08),
}
_SHORT_CIFAR = Recipe(epochs=10, optimizer="adamw", lr=0.01, weight_decay=1e-4, warmup_epochs=0.5)
_SHORT_IMAGENET_FIRST = replace(_SHORT_CIFAR, epochs=5, crop_padding=0, crop_area=0.08)
_SHORT_IMAGENET = replace(_SHORT_IMAGENET_FIRST, pretraining=_SHORT_IMAGENET_FIRST)


def recipes() -> dict[str, Recipe]:
    """All recipes by name: for each preset the paper's, and a short one named ``PRESET-short``.

    The paper distils ImageNet networks from a full-precision ResNet-34. Its weights are not
    included: set ``distillation`` to a file of your own.
    """
    paper = {name: _PAPER.get(name, _IMAGENET) for name in presets()}
    short = {
        f"{name}-short": _SHORT_CIFAR if name in _PAPER else _SHORT_IMAGENET for name in presets()
    }
    return paper | short


def named_recipe(name: str) -> Recipe:
    """Get a recipe by its name.

    Raises:
        StudyError: the name is unknown; the message has a suggestion.
    """
    known = recipes()
    if name not in known:
        raise StudyError(f"no recipe {name!r}; {text.suggest(name, known)}")
    return known[name]
