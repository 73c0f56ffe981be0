"""`Candidate`: a complete description of one network."""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Mapping
from dataclasses import InitVar, dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, get_type_hints

from ir2search import text
from ir2search.choices import (
    Activation,
    Estimator,
    Fusion,
    InputPrecision,
    Normalization,
    Precision,
    StemKind,
)
from ir2search.errors import CandidateError
from ir2search.files import parse_json, read_bytes
from ir2search.models.families import Stage, Stem
from ir2search.notebook import html_table
from ir2search.space.domains import Value
from ir2search.space.precision import (
    by_layer,
    canonical_precision,
    layers_of,
    precision_by_name,
)
from ir2search.space.rules import canonical_fusion, canonical_widths, check, family_of
from ir2search.validation import rule_of

if TYPE_CHECKING:
    from pydantic import TypeAdapter

LARGEST_CANDIDATE = 64 << 10  # bytes of a candidate.json
THRESHOLD_DIGITS = 6  # 0.3 and 3 * 0.1 = 0.30000000000000004 are the same threshold
RECIPE_DIGITS = 12  # significant digits of a number of the recipe
T = TypeVar("T")


def _with_near_names(cls: type[T]) -> type[T]:
    """Let the constructor of a class of fields name the nearest field if one is misspelled."""
    make = cls.__init__

    @functools.wraps(make)
    def init(self: T, **values: Any) -> None:
        for name in values:
            if name not in NAMES:
                raise TypeError(f"no field {name!r} in a candidate; {text.suggest(name, NAMES)}")
        make(self, **values)

    cls.__init__ = init  # type: ignore[assignment]
    return cls


@_with_near_names
@dataclass(frozen=True, kw_only=True, repr=False)
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
        stem: the first convolution. ``"real"`` is full precision. ``"int8"`` has pixels of 8 bits
            and binary weights (Courbariaux et al., "Binarized Neural Networks", arXiv 1602.02830).
            ``"thermometer"`` has pixels as signs, and binary weights (Zhang et al., "FracBNN", FPGA
            2021).
        stem_levels: levels of the thermometer, 1 to 64; it makes as many signs of each pixel.
        stem_width: channels of the stem, as a multiple of what ``width`` gives.
        stem_kernel: side of the stem's kernel in pixels, from 1 to 7; by default the backbone's. An
            even one must equal the stride: a stem of patches, see `ir2search.models.families.Stem`.
        stem_stride: stride of the stem in pixels, 1, 2 or 4; by default the backbone's.
        widths: for each layer after the stem, its channels as a multiple of what ``width`` gives.
            The first is 1: ``width`` is the width of the first layer. By default all are 1. Lin et
            al., "NAS-BNN", arXiv 2408.15484, search widths, kernels and groups of binary layers.
        kernels: for each layer after the stem, the side of the kernels of its binary convolutions,
            1, 3 or 5 pixels. By default 3.
        groups: for each layer after the stem, the groups of its binary convolutions, which divide
            its channels and those of the layer before. By default 1. The inputs go to the
            groups in turn, see `ir2search.nn.BinaryConv2d` (Zhang et al., "ShuffleNet", CVPR 2018).
        taps: names of the shallow feature maps that recovery uses, from shallow to deep.
        fusion: ``"dense"``, ``"compact"``, or ``"none"`` for no recovery.
        fusion_channels: m, width of the compact fusion in channels.
        fusion_ratio: s, an alternative to m: m = ceil(n / s), with n the channels of the last maps.
        fusion_group_size: input channels in each group of the cheap convolution; 1 is depthwise.
        threshold: threshold of the restriction in training (lambda of the paper); 0 is off.
        normalization: normalisation of the attention map in the restriction.
        weights: ``"binary"`` or ``"real"``: weights of the backbone's inner convolutions.
        activations: ``"binary"`` or ``"real"``: inputs of these convolutions.
        int8_layers: names of layers or stages, such as ``"stage3"`` or ``"stage2.0"``, whose inputs
            have 8 bits in place of ``activations``.
        real_layers: names of those whose weights and inputs are real in place of ``weights`` and
            ``activations``.
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
        TypeError: there is no field of a given name; the message gives the nearest one.
    """

    backbone: str = "cifar-resnet"
    depth: int = 20
    width: float = 1.0
    stem: StemKind = "real"
    stem_levels: int = 8
    stem_width: float = 1.0
    stem_kernel: int | None = None
    stem_stride: int | None = None
    widths: tuple[float, ...] = ()
    kernels: tuple[int, ...] = ()
    groups: tuple[int, ...] = ()
    taps: tuple[str, ...] = ("stem", "stage1", "stage2")
    fusion: Fusion = "compact"
    fusion_channels: int | None = None
    fusion_ratio: InitVar[float | None] = None
    fusion_group_size: int = 1
    threshold: float = 0.15
    normalization: Normalization = "map"
    weights: Precision = "binary"
    activations: Precision = "binary"
    int8_layers: tuple[str, ...] = ()
    real_layers: tuple[str, ...] = ()
    estimator: Estimator = "polynomial"
    weight_estimator: Estimator = "straight-through"
    shift: bool = False
    standardise: bool = False
    activation: Activation = "hardtanh"
    image: tuple[int, int, int] = (3, 32, 32)
    classes: int = 10
    recipe: tuple[tuple[str, Value], ...] = ()

    def __post_init__(self, fusion_ratio: float | None) -> None:
        family = family_of(self.backbone)
        for name, value in family.shape_defaults().items():
            if getattr(self, name) in (None, ()):
                object.__setattr__(self, name, value)
        check(self, family)
        canonical: dict[str, Any] = canonical_widths(self, family) | {
            "stem_levels": self.stem_levels if self.stem == "thermometer" else 8,
            "threshold": round(float(self.threshold), THRESHOLD_DIGITS),
            "normalization": self.normalization if self.threshold else "map",
            "taps": tuple(name for name in family.taps if name in self.taps),
            "image": tuple(self.image),
            "recipe": tuple(sorted((name, _rounded(value)) for name, value in self.recipe)),
        }
        canonical |= canonical_fusion(self, family, fusion_ratio)
        canonical |= canonical_precision(family, self.depth, vars(self))
        if canonical["activations"] == "real":
            canonical |= {"estimator": "polynomial", "shift": False}
        if canonical["weights"] == "real":
            canonical |= {"weight_estimator": "straight-through", "standardise": False}
        canonical |= {name: tuple(getattr(self, name)) for name in ("kernels", "groups")}
        for name, value in canonical.items():
            object.__setattr__(self, name, value)

    def __repr__(self) -> str:
        values = ", ".join(f"{name}={getattr(self, name)!r}" for name in self.differences())
        return f"Candidate({values})"

    def _repr_html_(self) -> str:
        return html_table(f"Candidate {self.id}", ("field", "value"), self.as_dict().items())

    @property
    def channels(self) -> tuple[int, ...]:
        """Channels of each tap of the backbone and of the last maps."""
        scales = (self.stem_width, *self.widths) if self.widths else ()
        return family_of(self.backbone).channels(self.width, scales)

    @property
    def stem_shape(self) -> Stem:
        """Shape of the first convolution."""
        assert self.stem_kernel is not None
        assert self.stem_stride is not None
        window = self.stem_kernel, self.stem_stride
        return Stem(self.channels[0], *window, self.stem, self.stem_levels)

    @property
    def stages(self) -> tuple[Stage, ...]:
        """Shapes of the layers after the stem; empty if the backbone has a shape of its own."""
        names = family_of(self.backbone).stages
        return tuple(map(Stage, names, self.channels[1:], self.kernels, self.groups))

    @property
    def released(self) -> dict[str, InputPrecision]:
        """The precision of the layers in ``int8_layers`` and ``real_layers``, by layer."""
        layers = layers_of(family_of(self.backbone), self.depth)
        return by_layer(layers, precision_by_name(self.int8_layers, self.real_layers))

    @property
    def id(self) -> str:
        """Twelve hexadecimal digits, the same for equal candidates on every machine.

        The id depends only on the fields that differ from the default. A new field that is off by
        default therefore does not change the ids of older candidates.
        """
        fields_given = json.dumps(self.differences(), sort_keys=True)
        return hashlib.sha256(fields_given.encode()).hexdigest()[:12]

    def as_dict(self) -> dict[str, Any]:
        """All fields by name, as values for JSON.

        Leaves out an empty recipe, empty lists of layers, and fields of the shape that have the
        backbone's default.
        """
        plain = {field.name: getattr(self, field.name) for field in fields(self)}
        empty = dict.fromkeys(("recipe", "int8_layers", "real_layers"), ())
        usual = {**empty, **family_of(self.backbone).shape_defaults()}
        plain = {n: v for n, v in plain.items() if n not in usual or v != usual[n]}
        lists = {n: list(v) for n, v in plain.items() if isinstance(v, tuple)}
        return plain | lists | ({"recipe": dict(self.recipe)} if self.recipe else {})

    def differences(self) -> dict[str, Any]:
        """The fields whose value differs from the default candidate's, by name."""
        default = DEFAULT.as_dict()
        own = self.as_dict().items()
        return {name: value for name, value in own if value != default.get(name)}

    def twin(self) -> Candidate:
        """The full-precision twin: the same network without binarisation."""
        return replace(
            self, weights="real", activations="real", stem="real", int8_layers=(), real_layers=()
        )

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

    if unknown := sorted(set(values) - set(NAMES)):
        near = text.did_you_mean(unknown[0], NAMES) or "; remove it"
        raise CandidateError(f"{source}: no field {unknown[0]!r} in a candidate{near}")
    values = dict(values)
    if isinstance(values.get("recipe"), Mapping):
        values["recipe"] = list(values["recipe"].items())
    try:
        # a date of a TOML file becomes text, which is no value of a list of numbers
        return _adapter().validate_json(json.dumps(values, default=str), strict=True)
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


def _rounded(value: Value) -> Value:
    return float(f"{value:.{RECIPE_DIGITS}g}") if isinstance(value, float) else value


NAMES = (*(field.name for field in fields(Candidate)), "fusion_ratio")  # that a caller can give
DEFAULT = Candidate()
