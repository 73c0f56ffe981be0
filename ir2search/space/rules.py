"""Which values a candidate can have, and the canonical form of its fusion."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, get_args

from ir2search import text
from ir2search.choices import Activation, Estimator, Fusion, Normalization, Precision
from ir2search.errors import CandidateError
from ir2search.models.families import FAMILIES, Family

if TYPE_CHECKING:
    from ir2search.space.candidate import Candidate

# bounds that keep a wrong value from taking all memory
MAX_DEPTH, MAX_WIDTH, MAX_CLASSES = 1202, 64, 100_000
MAX_CHANNELS, MAX_SIDE = 64, 4096  # of an image
RELEASED_FUSION_RATIO = 4.0  # of the released ResNet-20 for CIFAR


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
    side_rule = f"image: {candidate.backbone} needs at least {family.min_side} pixels a side"
    rules: list[tuple[bool, str, object]] = [
        (depth <= MAX_DEPTH, f"depth: must be at most {MAX_DEPTH}", depth),
        (family.has_depth(depth), f"depth: must be {family.depth_rule}", depth),
        (0 < width <= MAX_WIDTH, f"width: must be above 0 and at most {MAX_WIDTH}", width),
        (not unknown, f"taps: must be among {', '.join(family.taps)}", ", ".join(unknown)),
        (0 <= threshold < math.inf, "threshold: must be at least 0 and finite", threshold),
        (2 <= classes <= MAX_CLASSES, f"classes: must be from 2 to {MAX_CLASSES}", classes),
        (1 <= channels <= MAX_CHANNELS, f"image: must have 1 to {MAX_CHANNELS} channels", channels),
        (max(sides) <= MAX_SIDE, f"image: must have at most {MAX_SIDE} pixels a side", max(sides)),
        (min(sides) >= family.min_side, side_rule, min(sides)),
        (group_size >= 1, "fusion_group_size: must be at least 1", group_size),
    ]
    for name, options in (
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
    n = family.last_channels(candidate.width)
    m = candidate.fusion_channels
    if ratio is not None and m is not None:
        raise CandidateError("fusion_ratio: give it or fusion_channels, not both")
    if m is None:
        ratio = RELEASED_FUSION_RATIO if ratio is None else ratio
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
