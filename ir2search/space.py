"""`Candidate` describes one network; `SearchSpace` describes the candidates of a study."""

from __future__ import annotations

import functools
import hashlib
import itertools
import json
import math
import random
from collections.abc import Iterator, Mapping
from dataclasses import InitVar, dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args, get_type_hints

from ir2search import text
from ir2search.choices import Activation, Estimator, Fusion, Normalization, Precision
from ir2search.errors import CandidateError, SpaceError
from ir2search.files import parse_json, read_bytes
from ir2search.models.families import FAMILIES, Family
from ir2search.validation import rule_of

if TYPE_CHECKING:
    from pydantic import TypeAdapter

    from ir2search.models.network import TappedNetwork

Value = bool | int | float | str

# bounds that keep a wrong value from taking all memory
LARGEST_CANDIDATE = 64 << 10  # bytes of a candidate.json
MAX_DEPTH, MAX_WIDTH, MAX_CLASSES = 1202, 64, 100_000
MAX_CHANNELS, MAX_SIDE = 64, 4096  # of an image
THRESHOLD_DIGITS = 6  # 0.3 and 3 * 0.1 = 0.30000000000000004 are the same threshold
RECIPE_DIGITS = 12  # significant digits of a number of the recipe
RELEASED_FUSION_RATIO = 4.0  # of the released ResNet-20 for CIFAR


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """A complete description of one network; equal candidates describe equal networks.

    The default is the paper's ResNet-20 for CIFAR-10. Values are stored in a canonical form. A
    fusion ratio becomes a fusion width. A compact fusion as wide as the last maps becomes dense.
    Without taps, ``fusion`` becomes ``"none"``. The width multiplier becomes the exact ratio of the
    rounded channels. Values without effect get their default: the normalisation without a
    restriction, and the estimator of real weights or activations.

    Attributes:
        backbone: name of a family of networks.
        depth: number of layers of the backbone, as its family counts them.
        width: multiplier of all channels of the backbone.
        taps: names of the shallow feature maps that recovery uses, from shallow to deep.
        fusion: ``"dense"``, ``"compact"``, or ``"none"`` for no recovery.
        fusion_channels: m, width of the compact fusion in channels.
        fusion_ratio: s, an alternative to m: m = ceil(n / s), with n the channels of the last maps.
        fusion_group_size: input channels in each group of the cheap convolution; 1 is depthwise.
        threshold: threshold of the restriction in training (lambda of the paper); 0 is off.
        normalization: normalisation of the attention map in the restriction.
        weights: ``"binary"`` or ``"real"``: weights of the backbone's inner convolutions.
        activations: ``"binary"`` or ``"real"``: inputs of these convolutions.
        estimator: surrogate gradient of the sign of activations: ``"polynomial"`` (Bi-Real Net),
            ``"straight-through"``, or ``"tanh"``, which becomes sharper during training (IR-Net).
        weight_estimator: surrogate gradient of the sign of weights, with the same choices.
        shift: learn a threshold for each channel before the sign (ReActNet).
        standardise: standardise the weights before their sign (IR-Net).
        activation: ``"hardtanh"``, ``"prelu"``, or ``"rprelu"`` with learned shifts (ReActNet).
        image: (channels, height, width) of an input image.
        classes: number of classes.
        recipe: (name, value) of the recipe's fields that a study searches; they replace those of
            the recipe that trains the network. Candidates that differ here are different.

    Raises:
        CandidateError: a value is out of range; the message gives the rule and the value.
    """

    backbone: str = "cifar-resnet"
    depth: int = 20
    width: float = 1.0
    taps: tuple[str, ...] = ("stem", "stage1", "stage2")
    fusion: Fusion = "compact"
    fusion_channels: int | None = None
    fusion_ratio: InitVar[float | None] = None
    fusion_group_size: int = 1
    threshold: float = 0.15
    normalization: Normalization = "map"
    weights: Precision = "binary"
    activations: Precision = "binary"
    estimator: Estimator = "polynomial"
    weight_estimator: Estimator = "straight-through"
    shift: bool = False
    standardise: bool = False
    activation: Activation = "hardtanh"
    image: tuple[int, int, int] = (3, 32, 32)
    classes: int = 10
    recipe: tuple[tuple[str, Value], ...] = ()

    def __post_init__(self, fusion_ratio: float | None) -> None:
        family = _family(self.backbone)
        _check(self, family)
        canonical: dict[str, Any] = {
            "width": family.stem_channels(self.width) / family.base_width,
            "threshold": round(float(self.threshold), THRESHOLD_DIGITS),
            "normalization": self.normalization if self.threshold else "map",
            "taps": tuple(name for name in family.taps if name in self.taps),
            "image": tuple(self.image),
            "recipe": tuple(sorted((name, _rounded(value)) for name, value in self.recipe)),
        }
        canonical |= _canonical_fusion(self, family, fusion_ratio)
        if self.activations == "real":
            canonical |= {"estimator": "polynomial", "shift": False}
        if self.weights == "real":
            canonical |= {"weight_estimator": "straight-through", "standardise": False}
        for name, value in canonical.items():
            object.__setattr__(self, name, value)

    @property
    def id(self) -> str:
        """Twelve hexadecimal digits, the same for equal candidates on every machine.

        The id depends only on the fields that differ from the default. A new field that is off by
        default therefore does not change the ids of older candidates.
        """
        fields_given = json.dumps(self.differences(), sort_keys=True)
        return hashlib.sha256(fields_given.encode()).hexdigest()[:12]

    def as_dict(self) -> dict[str, Any]:
        """All fields by name, as values for JSON; the recipe only if it has values."""
        plain = {field.name: getattr(self, field.name) for field in fields(self)}
        plain |= {"taps": list(self.taps), "image": list(self.image), "recipe": dict(self.recipe)}
        return plain if self.recipe else {k: v for k, v in plain.items() if k != "recipe"}

    def differences(self) -> dict[str, Any]:
        """The fields whose value differs from the default candidate's, by name."""
        default = _DEFAULT.as_dict()
        own = self.as_dict().items()
        return {name: value for name, value in own if value != default.get(name)}

    def twin(self) -> Candidate:
        """The full-precision twin: the same network without binarisation."""
        return replace(self, weights="real", activations="real")

    def without_recovery(self) -> Candidate:
        """The same network without recovery."""
        return replace(self, taps=())

    def without_recipe(self) -> Candidate:
        """The same network without values of the recipe."""
        return replace(self, recipe=()) if self.recipe else self

    def backbone_only(self) -> Candidate:
        """The same network without recovery or restriction."""
        return replace(self.without_recovery(), threshold=0.0)


def candidate_from_dict(values: Mapping[str, Any], source: str = "candidate") -> Candidate:
    """Make a candidate from the values of `Candidate.as_dict`.

    Args:
        values: fields by name; missing fields get their default.
        source: the name of the values in errors, for example a file.

    Raises:
        CandidateError: a field is unknown, or a value has a wrong type or is out of range.
    """
    from pydantic import ValidationError

    unknown = set(values) - {field.name for field in fields(Candidate)} - {"fusion_ratio"}
    if unknown:
        raise CandidateError(f"{source}: no field {sorted(unknown)[0]!r} in a candidate; remove it")
    values = dict(values)
    if isinstance(values.get("recipe"), Mapping):
        values["recipe"] = list(values["recipe"].items())
    try:
        return _adapter().validate_json(json.dumps(values), strict=True)
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(map(str, first["loc"]))
        fault = f"{rule_of(first)}, but got {first['input']!r}"
        raise CandidateError(f"{source}: {field}: {fault}") from None
    except CandidateError as error:
        raise CandidateError(f"{source}: {error}") from None


def candidate_types() -> dict[str, Any]:
    """The type of each value of `Candidate.as_dict`, by name."""
    types = get_type_hints(Candidate)
    return {field.name: types[field.name] for field in fields(Candidate)} | {
        "recipe": dict[str, Value]
    }


@functools.cache
def _adapter() -> TypeAdapter[Candidate]:
    from pydantic import TypeAdapter

    return TypeAdapter(Candidate)


def read_candidate(file: Path) -> Candidate:
    """Read a candidate from a ``candidate.json``.

    Raises:
        CandidateError: the file is missing, is not JSON, or has no valid candidate.
    """
    try:
        values = parse_json(read_bytes(file, LARGEST_CANDIDATE).decode("utf-8"))
    except FileNotFoundError:
        raise CandidateError(f"{file}: no such file; name a candidate.json or a preset") from None
    except OSError as error:
        raise CandidateError(f"{file}: cannot be read: {error.strerror}") from None
    except (ValueError, RecursionError) as error:
        raise CandidateError(f"{file}: not a candidate in JSON: {error}") from None
    if not isinstance(values, dict):
        raise CandidateError(f"{file}: must be one JSON object with the fields of a candidate")
    return candidate_from_dict(values, str(file))


def build(candidate: Candidate) -> TappedNetwork:
    """Build the candidate's network, initialised from torch's global random state.

    Its ``forward`` maps normalised images (N, C, H, W) to logits (N, classes); its
    ``forward_features`` returns the last feature maps before fusion, (N, n, h, w).
    """
    from ir2search.models.build import BUILDERS
    from ir2search.models.network import NetworkSpec
    from ir2search.nn import Binarisation, InformationRecovery, make_activation

    family = FAMILIES[candidate.backbone]
    stem = family.stem_channels(candidate.width)
    factors = dict(zip(family.taps, family.channel_factors, strict=False))
    recovery = InformationRecovery(
        [stem * factors[name] for name in candidate.taps],
        family.last_channels(candidate.width),
        fusion="dense" if candidate.fusion == "dense" else "compact",
        channels=candidate.fusion_channels,
        group_size=candidate.fusion_group_size,
        activation=lambda channels: make_activation(candidate.activation, channels),
    )
    options = {field.name: getattr(candidate, field.name) for field in fields(Binarisation)}
    spec = NetworkSpec(
        depth=candidate.depth,
        channels=stem,
        image=candidate.image,
        classes=candidate.classes,
        taps=candidate.taps,
        recovery=recovery,
        binarisation=Binarisation(**options),
        activation=candidate.activation,
    )
    return BUILDERS[candidate.backbone](spec)


@dataclass(frozen=True)
class Choice:
    """A searched parameter with a list of values."""

    values: tuple[Value, ...]


@dataclass(frozen=True)
class Range:
    """A searched parameter with values from ``low`` to ``high``, both included.

    Attributes:
        low: the smallest value.
        high: the largest value.
        step: distance between values; by default 1 if both ends are whole numbers, else none.
        log: whether values are drawn on a logarithmic scale.
    """

    low: int | float
    high: int | float
    step: int | float | None = None
    log: bool = False

    @property
    def is_whole(self) -> bool:
        """Whether all values are whole numbers."""
        ends = isinstance(self.low, int) and isinstance(self.high, int)
        return ends and float(self.step or 1).is_integer()

    @property
    def count(self) -> int | None:
        """Number of values; None for a continuous range."""
        if self.step is None and not self.is_whole:
            return None
        steps = min((self.high - self.low) / self._step, 2**53)  # may be infinite
        return math.floor(steps + 1e-9) + 1

    def values(self) -> tuple[Value, ...] | None:
        """All values; None for a continuous range."""
        if self.count is None:
            return None
        return tuple(self.low + self._step * i for i in range(self.count))

    @property
    def _step(self) -> int | float:
        return int(self.step or 1) if self.is_whole else self.step or 1


Domain = Choice | Range
TAP = "tap_"  # each tap is a parameter tap_<name>, true or false
RECIPE = "recipe_"  # a searched field of the recipe is a parameter recipe_<name>


@dataclass(frozen=True)
class SearchSpace:
    """The candidates that a study can try: each field of a candidate is fixed or searched.

    Parameters are the fields of `Candidate`, but ``tap_<name>`` for each tap instead of ``taps``,
    and ``recipe_<name>`` for each searched field of the recipe instead of ``recipe``.

    Attributes:
        fixed: values by parameter. A parameter that is neither fixed nor searched has its default.
        searched: domains by parameter.

    Raises:
        SpaceError: a parameter is unknown, or no network can have a value of its domain.
    """

    fixed: Mapping[str, Any]
    searched: Mapping[str, Domain]

    def __post_init__(self) -> None:
        family = _family(str(self.fixed.get("backbone", _DEFAULT.backbone)))
        known = {field.name for field in fields(Candidate)} - {"taps", "recipe"} | {"fusion_ratio"}
        known |= {TAP + name for name in family.taps}
        for name in [*self.fixed, *self.searched]:
            if name not in known and not name.startswith(RECIPE):
                hint = text.suggest(_shown(name), sorted(map(_shown, known)))
                raise SpaceError(f"{_shown(name)}: no such parameter; {hint}")
        if {"fusion_ratio", "fusion_channels"} <= {*self.fixed, *self.searched}:
            raise SpaceError("fusion_ratio: give it or fusion_channels, not both")
        for name, value in self.fixed.items():
            self._check_value(name, value)
        for name, domain in self.searched.items():
            for value in (*ends(domain), *(_values(domain) or ())[1:2]):
                self._check_value(name, value)

    def candidate(self, parameters: Mapping[str, Any]) -> Candidate:
        """Make the candidate with these values of the searched parameters.

        Raises:
            CandidateError: no network has these values, for example because the group size does
                not divide the fusion width.
        """
        values = {n: v for n, v in {**self.fixed, **parameters}.items() if not n.startswith(RECIPE)}
        recipe = [
            (n.removeprefix(RECIPE), v) for n, v in parameters.items() if n.startswith(RECIPE)
        ]
        family = FAMILIES[str(values.get("backbone", _DEFAULT.backbone))]
        taps = tuple(name for name in family.taps if values.pop(TAP + name, True))
        return Candidate(**{"depth": family.depth, **values}, taps=taps, recipe=tuple(recipe))

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
            values = _values(domain)
            if values is None:
                raise SpaceError(
                    f"{_shown(name)}: a grid needs a list of values or a step in the range"
                )
            axes.append(values)
        return (dict(zip(self.searched, point, strict=True)) for point in itertools.product(*axes))

    @property
    def size(self) -> float:
        """Number of combinations of the searched values; infinite with a continuous parameter."""
        values = map(_values, self.searched.values())
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
            yield {name: _draw(domain, generator) for name, domain in self.searched.items()}

    def corners(self) -> Iterator[Candidate]:
        """Iterate over the valid candidates whose parameters are all at an end of their domain.

        One of them has the minimum of each cost: costs increase with depth, width and taps, are
        linear in the fusion width, and do not depend on the threshold or the recipe.
        """
        names = self.with_costs()
        axes = [ends(self.searched[name]) for name in names]
        for point in itertools.product(*axes):
            try:
                yield self.candidate(dict(zip(names, point, strict=True)))
            except CandidateError:
                continue

    def with_costs(self) -> list[str]:
        """Names of the searched parameters on which costs depend."""
        return [
            name for name in self.searched if name != "threshold" and not name.startswith(RECIPE)
        ]

    def _check_value(self, name: str, value: Any) -> None:
        """Raise SpaceError if no network can have this value."""
        if name.startswith(RECIPE):  # the study checks it
            return
        if name.startswith(TAP):
            if not isinstance(value, bool):
                raise SpaceError(f"{_shown(name)}: must be true or false, but got {value!r}")
            return
        backbone = str(self.fixed.get("backbone", _DEFAULT.backbone))
        family = _family(backbone)
        values = {
            "backbone": backbone,
            "depth": family.depth,
            "taps": family.taps,
            "image": (1, family.min_side, family.min_side),
            name: value,
        }
        if name == "fusion_group_size":  # the default fusion width may not be divisible by it
            values["fusion"] = "dense"
        try:
            candidate_from_dict(values, "space")
        except CandidateError as error:
            raise SpaceError(str(error).removeprefix("space: ")) from None


def _shown(name: str) -> str:
    """A parameter's name in a study file: ``taps.stem`` for ``tap_stem``."""
    if name.startswith(RECIPE):
        return f"recipe.{name.removeprefix(RECIPE)}"
    return f"taps.{name.removeprefix(TAP)}" if name.startswith(TAP) else name


def ends(domain: Domain) -> tuple[Value, ...]:
    """All values of a choice, or the smallest and the largest value of a range."""
    return domain.values if isinstance(domain, Choice) else (domain.low, domain.high)


def _values(domain: Domain) -> tuple[Value, ...] | None:
    """All values of a domain; None if it is continuous."""
    return domain.values if isinstance(domain, Choice) else domain.values()


def _draw(domain: Domain, generator: random.Random) -> Value:
    values = _values(domain)
    if values is not None:
        return generator.choice(values)
    assert isinstance(domain, Range)
    if domain.log:
        return math.exp(generator.uniform(math.log(domain.low), math.log(domain.high)))
    return generator.uniform(domain.low, domain.high)


def _rounded(value: Value) -> Value:
    return float(f"{value:.{RECIPE_DIGITS}g}") if isinstance(value, float) else value


def _family(name: str) -> Family:
    try:
        return FAMILIES[name]
    except KeyError:
        raise CandidateError(
            f"backbone: must be one of {', '.join(FAMILIES)}, but got {name!r}"
            + text.did_you_mean(name, FAMILIES)
        ) from None


def _check(candidate: Candidate, family: Family) -> None:
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


def _canonical_fusion(candidate: Candidate, family: Family, ratio: float | None) -> dict[str, Any]:
    """The fusion fields in canonical form."""
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


_DEFAULT = Candidate()
