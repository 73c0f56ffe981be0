"""Which values a candidate can have, and the canonical form of its fusion."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, get_args

from ir2search import text
from ir2search.choices import Activation, Estimator, Fusion, Normalization, Precision, StemKind
from ir2search.errors import CandidateError
from ir2search.models.families import FAMILIES, Family
from ir2search.space.precision import layers_of, names_of

if TYPE_CHECKING:
    from ir2search.space.candidate import Candidate

# bounds that keep a wrong value from taking all memory
MAX_DEPTH, MAX_WIDTH, MAX_CLASSES = 1202, 64, 100_000
MAX_CHANNELS, MAX_SIDE = 64, 4096  # of an image
MAX_SCALE = 8  # of the width of a layer
MAX_LEVELS = 64
STEM_KERNELS, STEM_STRIDES = range(1, 8), (1, 2, 4)
KERNELS = (1, 3, 5)
DEFAULT_FUSION_RATIO = 4.0  # that of the authors' ResNet-20 for CIFAR

Rule = tuple[bool, str, object]  # whether it holds, the rule in words, and the value that breaks it


def family_of(name: str) -> Family:
    """The family of a backbone.

    Raises:
        CandidateError: there is no such backbone.
    """
    try:
        return FAMILIES[name]
    except KeyError:
        raise CandidateError(
            f"backbone: must be one of {', '.join(FAMILIES)}, but got {name!r}"
            + text.did_you_mean(name, FAMILIES)
        ) from None


def check(candidate: Candidate, family: Family) -> None:
    """Raise CandidateError for the first value that is out of range."""
    depth, width, threshold = candidate.depth, candidate.width, candidate.threshold
    (channels, *sides), classes = candidate.image, candidate.classes
    group_size = candidate.fusion_group_size
    unknown = [name for name in candidate.taps if name not in family.taps]
    least = family.min_side * (candidate.stem_stride or 1) // family.stem_stride
    side_rule = f"image: {candidate.backbone} needs at least {least} pixels a side"
    rules: list[Rule] = [
        (depth <= MAX_DEPTH, f"depth: must be at most {MAX_DEPTH}", depth),
        (family.has_depth(depth), f"depth: must be {family.depth_rule}", depth),
        (0 < width <= MAX_WIDTH, f"width: must be above 0 and at most {MAX_WIDTH}", width),
        (not unknown, f"taps: must be among {', '.join(family.taps)}", ", ".join(unknown)),
        (0 <= threshold < math.inf, "threshold: must be at least 0 and finite", threshold),
        (2 <= classes <= MAX_CLASSES, f"classes: must be from 2 to {MAX_CLASSES}", classes),
        (1 <= channels <= MAX_CHANNELS, f"image: must have 1 to {MAX_CHANNELS} channels", channels),
        (max(sides) <= MAX_SIDE, f"image: must have at most {MAX_SIDE} pixels a side", max(sides)),
        *_shape_rules(candidate, family),
        (min(sides) >= least, side_rule, min(sides)),
        (group_size >= 1, "fusion_group_size: must be at least 1", group_size),
    ]
    for name, options in (
        ("stem", StemKind),
        ("fusion", Fusion),
        ("normalization", Normalization),
        ("weights", Precision),
        ("activations", Precision),
        ("estimator", Estimator),
        ("weight_estimator", Estimator),
        ("activation", Activation),
    ):
        value = getattr(candidate, name)
        known = get_args(options)
        rules.append((value in known, f"{name}: must be one of {', '.join(known)}", value))
    for holds, rule, value in rules:
        if not holds:
            raise CandidateError(f"{rule}, but got {value}")
    for stage, inputs in zip(candidate.stages, candidate.channels, strict=False):
        if inputs % stage.groups or stage.channels % stage.groups:
            raise CandidateError(
                f"groups: must divide the {inputs} inputs and the {stage.channels} outputs of "
                f"{stage.name}, but got {stage.groups}"
            )
    _check_layers(candidate, family)


def _check_layers(candidate: Candidate, family: Family) -> None:
    """Raise CandidateError for a name of a layer that the network does not have, or given twice."""
    known = names_of(layers_of(family, candidate.depth))
    for field in ("int8_layers", "real_layers"):
        for name in getattr(candidate, field):
            if not known:
                raise CandidateError(f"{field}: {candidate.backbone} names no layers; leave it out")
            if name not in known:
                raise CandidateError(
                    f"{field}: no layer {name!r} in {candidate.backbone} of depth "
                    f"{candidate.depth}; {text.suggest(name, known)}"
                )
    if both := set(candidate.int8_layers) & set(candidate.real_layers):
        raise CandidateError(f"int8_layers, real_layers: both name {min(both)}; leave one out")


def _shape_rules(candidate: Candidate, family: Family) -> list[Rule]:
    """Rules of the shapes of the stem and of the layers after it."""
    usual, stages = family.shape_defaults(), family.stages
    changed = next((name for name in usual if getattr(candidate, name) != usual[name]), "")
    levels, stem, widths = candidate.stem_levels, candidate.stem_width, candidate.widths
    kernels, groups = candidate.kernels, candidate.groups
    kernel, stride = candidate.stem_kernel or 0, candidate.stem_stride or 0
    width_rule = f"must be above 0 and at most {MAX_SCALE}"
    return [
        (
            bool(stages) or not changed,
            f"{changed}: {candidate.backbone} has a shape of its own; leave it out",
            getattr(candidate, changed, None),
        ),
        (0 < stem <= MAX_SCALE, f"stem_width: {width_rule}", stem),
        (1 <= levels <= MAX_LEVELS, f"stem_levels: must be from 1 to {MAX_LEVELS}", levels),
        (kernel in STEM_KERNELS, "stem_kernel: must be from 1 to 7", kernel),
        (stride in STEM_STRIDES, "stem_stride: must be 1, 2 or 4", stride),
        (
            bool(kernel % 2) or kernel == stride,
            f"stem_kernel: must be odd or equal to the stride of {stride}",
            kernel,
        ),
        *(
            (
                len(getattr(candidate, name)) == len(stages),
                f"{name}: must be a number for each of {', '.join(stages)}",
                getattr(candidate, name),
            )
            for name in ("widths", "kernels", "groups")
        ),
        (widths[:1] in ((), (1,)), "widths: the first must be 1; set width instead", widths),
        (all(0 < each <= MAX_SCALE for each in widths), f"widths: each {width_rule}", widths),
        (set(KERNELS).issuperset(kernels), "kernels: each must be 1, 3 or 5", kernels),
        (all(each >= 1 for each in groups), "groups: each must be at least 1", groups),
    ]


def canonical_widths(candidate: Candidate, family: Family) -> dict[str, Any]:
    """The widths as exact ratios of rounded channels."""
    stem, *inner = candidate.channels
    usual, *others = family.channels(candidate.width)
    pairs = zip(inner, others, strict=True)
    return {
        "width": family.base_channels(candidate.width) / family.base_width,
        "stem_width": stem / usual,
        "widths": tuple(own / other for own, other in pairs) if family.stages else (),
    }


def canonical_fusion(candidate: Candidate, family: Family, ratio: float | None) -> dict[str, Any]:
    """The fusion fields in canonical form; ``ratio`` is s, an alternative to the width.

    Raises:
        CandidateError: the fusion width is out of range, or its groups do not divide it.
    """
    unused = {"fusion_channels": None, "fusion_group_size": 1}
    if candidate.fusion == "none" or not candidate.taps:
        return unused | {"fusion": "none", "taps": ()}
    if candidate.fusion == "dense":
        return unused
    n = candidate.channels[-1]
    m = candidate.fusion_channels
    if ratio is not None and m is not None:
        raise CandidateError("fusion_ratio: give it or fusion_channels, not both")
    if m is None:
        ratio = DEFAULT_FUSION_RATIO if ratio is None else ratio
        if not (math.isfinite(ratio) and ratio >= 1):
            raise CandidateError(f"fusion_ratio: must be at least 1 and finite, but got {ratio}")
        m = math.ceil(n / ratio)
    if m < 1:
        raise CandidateError(f"fusion_channels: must be at least 1, but got {m}")
    if m >= n:
        return unused | {"fusion": "dense"}
    if m % candidate.fusion_group_size:
        raise CandidateError(
            f"fusion_group_size: must divide the fusion width {m}, "
            f"but got {candidate.fusion_group_size}"
        )
    return {"fusion_channels": m}
