"""The paper's networks by name.

Source: Xue et al., "IR²Net", arXiv 2210.02637, section 4, and the released code.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ir2search import text
from ir2search.errors import CandidateError
from ir2search.extensions import read_modules_of_run, with_modules
from ir2search.runtime.packed import PACKED, read_about
from ir2search.space import Candidate, build, candidate_from_dict, read_candidate
from ir2search.zoo.shipped import shipped_names, shipped_network

if TYPE_CHECKING:
    from ir2search.models.network import TappedNetwork

_STAGES = ("stem", "stage1", "stage2", "stage3")
_IMAGENET = Candidate(
    backbone="imagenet-resnet",
    depth=18,
    taps=_STAGES,
    fusion="dense",
    activation="prelu",
    image=(3, 224, 224),
    classes=1000,
)


_VARIANTS: dict[str, dict[str, Any]] = {
    "A": {},
    "B": {"fusion": "compact", "fusion_ratio": 2},
    "C": {"fusion": "compact", "fusion_ratio": 4, "fusion_group_size": 16},
    "D": {"fusion": "compact", "fusion_ratio": 20},
}
_PRESETS: dict[str, Candidate] = {
    "cifar-resnet20": Candidate(),
    "cifar-resnet18": Candidate(
        backbone="cifar-basic-resnet", depth=18, taps=_STAGES, fusion_ratio=20
    ),
    "cifar-vgg-small": Candidate(backbone="cifar-vgg", depth=7, taps=("stem",), fusion_ratio=32),
    **{
        f"imagenet-resnet{depth}-{variant}": replace(_IMAGENET, depth=depth, **fusion)
        for depth in (18, 34)
        for variant, fusion in _VARIANTS.items()
    },
}


def presets() -> tuple[str, ...]:
    """Names of all presets."""
    return tuple(_PRESETS)


def preset(
    name: str, num_classes: int | None = None, image: tuple[int, int, int] | None = None
) -> Candidate:
    """Get the candidate of a preset.

    Args:
        name: one of `presets`.
        num_classes: number of classes; None for the paper's.
        image: (channels, height, width) of an image; None for the paper's.

    Raises:
        CandidateError: the name is unknown (the message has a suggestion), or the network cannot
            have this number of classes or this image.
    """
    if name not in _PRESETS:
        raise CandidateError(f"no preset {name!r}; {text.suggest(name, _PRESETS)}")
    candidate = _PRESETS[name]
    classes = candidate.classes if num_classes is None else num_classes
    return replace(candidate, classes=classes, image=image or candidate.image)


def named_candidate(what: str) -> Candidate:
    """Get a candidate by name or from a file.

    Modules of the trial's run are run if the user trusts them; see `ir2search.extensions`.

    Args:
        what: a preset, a trained network of `zoo`, a ``candidate.json``, a folder that has one, or
            a packed file.

    Raises:
        CandidateError: there is no such candidate.
        WeightsError: a packed file is damaged.
        InputError: a module of the run is needed and not trusted, has changed, or its code fails.
    """
    path = Path(what)
    if path.is_dir():
        path /= "candidate.json"
    if path.suffix == PACKED:
        return _packed_candidate(path)
    if path.suffix != ".json":
        if what in _PRESETS:
            return preset(what)
        if what in shipped_names():
            return shipped_network(what).candidate
        hint = text.suggest(what, [*_PRESETS, *shipped_names()])
        raise CandidateError(f"no network {what!r}; {hint}")
    run = path.absolute().parent.parent.parent
    with with_modules(run, read_modules_of_run(run)):
        return read_candidate(path)


def _packed_candidate(file: Path) -> Candidate:
    values = read_about(file).get("candidate")
    if not isinstance(values, dict):
        raise CandidateError(f"{file}: does not name its candidate; export it again")
    return candidate_from_dict(values, str(file))


def build_preset(name: str, num_classes: int | None = None) -> TappedNetwork:
    """Build the network of a preset, with initial weights.

    Args:
        name: one of `presets`.
        num_classes: number of classes; None for the paper's.

    Raises:
        CandidateError: the name is unknown, or there are fewer than two classes.
    """
    return build(preset(name, num_classes))
