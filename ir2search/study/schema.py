"""The study file: what is searched, over which data, by which sampler, for how long."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PrivateAttr,
    ValidationError,
    field_validator,
    model_validator,
)

from ir2search import text
from ir2search.data import DataConfig
from ir2search.errors import CandidateError, SpaceError, StudyError
from ir2search.extensions import UserModule, load_modules, read_module
from ir2search.space import TAP, Choice, Domain, Range, SearchSpace
from ir2search.study.objectives import LATENCY, OBJECTIVES
from ir2search.study.sections import Confirm, Resources, Rungs, Stop, TimedWith, WarmStart
from ir2search.study.shipped import shipped_studies
from ir2search.training import Distillation, Recipe
from ir2search.zoo import named_recipe

Sampler = Literal["ehvi", "nsga2", "nsga3", "tpe", "gp", "random", "grid"]
NAME = r"^[A-Za-z0-9][A-Za-z0-9._-]*$"  # of a study and of its run's folder
SUFFIXES = {"": 1.0, "k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12}


def _quantity(value: object) -> object:
    """A number out of "2M", "500 k" or a number."""
    if not isinstance(value, str):
        return value
    match = re.fullmatch(r"\s*([0-9.]+(?:e[0-9]+)?)\s*([kMGT]?)B?\s*", value)
    try:
        return float(match[1]) * SUFFIXES[match[2]] if match else value
    except ValueError:
        return value


def _costs() -> list[str]:
    """Names of all objectives but the accuracy."""
    return [name for name in OBJECTIVES if name != "accuracy"]


def _cost_name(name: str) -> str:
    if name == "accuracy" or name not in OBJECTIVES:
        raise ValueError(f"must be one of {', '.join(_costs())}")
    return name


CostName = Annotated[str, AfterValidator(_cost_name)]
Quantity = Annotated[float, BeforeValidator(_quantity), Field(gt=0, allow_inf_nan=False)]


class Study(BaseModel):
    """A validated study file; frozen.

    Attributes:
        name: of the study and of its run's folder.
        seed: of everything random in it.
        modules: of the study's author, whose code is run: see `ir2search.extensions`.
        trials: how many distinct candidates are trained.
        sampler: which of Optuna's proposes them; ``"ehvi"`` takes what is expected to add most to
            the front at its known costs, ``"grid"`` takes all in a random order.
        objectives: two or more out of accuracy, ops, flops, bops, memory, latency, and what
            `register_objective` made known.
        data: which images.
        space: which candidates.
        budget: greatest cost of a candidate by cost name; others are turned down untrained.
        latency: how the engine runs networks to be timed, where latency is asked for.
        recipe: how each is trained; a study file may name one of `named_recipe`.
        warm_start: start candidates from a backbone that those with the same one share; each from
            scratch where this is left out.
        rungs: at which epochs candidates are compared and all but the best stopped; none is
            stopped where this is left out.
        stop: when the search ends before it has trained all its trials.
        confirm: from how many further seeds the front is trained at the end.
        resources: of one training on a cluster.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True)

    name: Annotated[str, Field(pattern=NAME, max_length=100)]
    seed: Annotated[int, Field(strict=True, ge=0, lt=2**31)] = 0
    modules: tuple[UserModule, ...] = ()
    trials: Annotated[int, Field(strict=True, ge=1)] = 20
    sampler: Sampler = "tpe"
    objectives: tuple[str, ...] = ("accuracy", "ops")
    data: DataConfig = DataConfig()
    space: SearchSpace
    budget: Mapping[CostName, Quantity] = {}
    latency: TimedWith = TimedWith()
    recipe: Recipe = Recipe()
    warm_start: WarmStart | None = None
    rungs: Rungs | None = None
    stop: Stop = Stop()
    confirm: Confirm | None = None
    resources: Resources = Resources()
    _source: str = PrivateAttr("study")

    @property
    def source(self) -> str:
        """The file it was read from, for messages."""
        return self._source

    @property
    def costs(self) -> tuple[str, ...]:
        """Names of all objectives that it asks for, in a budget too."""
        return tuple(dict.fromkeys([*self.objectives, *self.budget]))

    @property
    def is_timed(self) -> bool:
        """Whether it asks for the latency."""
        return LATENCY in self.costs

    @field_validator("objectives", mode="before")
    @classmethod
    def _two_distinct(cls, value: Any) -> Any:
        if not isinstance(value, list | tuple) or len(value) < 2 or len(set(value)) < len(value):
            raise ValueError("must list two or more different objectives")
        for name in value:
            if name not in OBJECTIVES:
                raise ValueError(OBJECTIVES.missing(name))
        return tuple(value)

    @field_validator("recipe", mode="before")
    @classmethod
    def _recipe(cls, value: Any) -> Any:
        try:
            return named_recipe(value) if isinstance(value, str) else value
        except StudyError as error:
            raise ValueError(str(error)) from None

    @field_validator("space", mode="before")
    @classmethod
    def _space(cls, value: Any) -> Any:
        return parse_space(value) if isinstance(value, Mapping) else value

    @model_validator(mode="after")
    def _rungs_fit(self) -> Study:
        if self.rungs is None:
            return self
        if self.recipe.pretraining is not None:
            raise ValueError("[rungs] needs a recipe of one stage; leave [rungs] out")
        if self.rungs.minimum >= self.recipe.epochs:
            raise ValueError(
                f"[rungs] minimum: must be below the recipe's {self.recipe.epochs} epochs, "
                f"but got {self.rungs.minimum}"
            )
        return self

    @model_validator(mode="after")
    def _one_stage_warms(self) -> Study:
        if self.warm_start is not None and self.recipe.pretraining is not None:
            raise ValueError("[warm_start] needs a recipe of one stage; leave [warm_start] out")
        return self

    @model_validator(mode="after")
    def _latency_is_asked_for(self) -> Study:
        if self.latency != TimedWith() and not self.is_timed:
            raise ValueError("[latency] needs latency among the objectives or in [budget]")
        return self

    @model_validator(mode="after")
    def _ehvi_has_an_accuracy(self) -> Study:
        if self.sampler == "ehvi" and "accuracy" not in self.objectives:
            raise ValueError('sampler: "ehvi" needs accuracy among the objectives')
        return self

    @model_validator(mode="after")
    def _grid_is_finite(self) -> Study:
        if self.sampler == "grid":
            self.space.grid()
        return self


def load_study(path: str | Path) -> Study:
    """Read and validate a study file, given by its path or by the name of one that is shipped.

    Raises:
        StudyError: no such study; or a key, type or value that is wrong. The message names the
            file and the field.
    """
    file = study_file(path)
    try:
        values = tomllib.loads(file.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise StudyError(f"{file}: not valid TOML: {error}") from None
    except OSError as error:
        raise StudyError(f"{file}: cannot be read: {error.strerror}") from None
    return parse_study(values, str(file))


def parse_study(values: Mapping[str, Any], source: str) -> Study:
    """The study of a study file's values; ``source`` names the file in errors."""
    try:
        modules = _modules(values.get("modules", ()), Path(source).parent)
        load_modules(modules)
        study = Study.model_validate({"name": Path(source).stem, **values, "modules": modules})
    except ValidationError as error:
        raise StudyError(f"{source}: {_sentence(error)}") from None
    except (CandidateError, SpaceError) as error:
        raise StudyError(f"{source}: [space] {error}") from None
    except StudyError as error:
        raise StudyError(f"{source}: {error}") from None
    study._source = source
    return study


def study_file(path: str | Path) -> Path:
    """The file of a study given by its path or by the name of one that is shipped.

    Raises:
        StudyError: there is none; the message lists near names.
    """
    shipped = shipped_studies()
    if str(path) in shipped:
        return shipped[str(path)]
    if Path(path).is_file():
        return Path(path)
    hint = text.near(path, shipped)
    raise StudyError(f"no study {str(path)!r}, neither a file nor a shipped one; {hint}")


def _modules(names: object, base: Path) -> tuple[UserModule, ...]:
    if not isinstance(names, list | tuple) or not all(isinstance(name, str) for name in names):
        raise StudyError(f'modules: must be a list such as ["my_networks.py"], but got {names!r}')
    modules = tuple(read_module(name, base) for name in names)
    stems = [module.stem for module in modules]
    for stem in stems:
        if stems.count(stem) > 1:  # a run keeps them in one folder
            raise StudyError(f"modules: two are called {stem}; give one another name")
    return modules


def parse_space(values: Mapping[str, Any]) -> SearchSpace:
    """The space of a ``[space]`` section.

    A value is fixed, a list is a choice, a table ``{ low, high, step, log }`` is a range; ``taps``
    is a table of truth values or lists of them by tap.
    """
    for name in ("image", "classes"):
        if name in values:
            raise SpaceError(f"{name}: comes from the data; remove it")
    flat: dict[str, Any] = {name: value for name, value in values.items() if name != "taps"}
    taps = values.get("taps", {})
    if not isinstance(taps, Mapping):
        raise SpaceError("taps: must be a table of true, false or [true, false] by tap")
    flat |= {TAP + name: value for name, value in taps.items()}
    fixed: dict[str, Any] = {}
    searched: dict[str, Domain] = {}
    for name, value in flat.items():
        if isinstance(value, list):
            searched[name] = _choice(name, value)
        elif isinstance(value, Mapping):
            searched[name] = _range(name, value)
        else:
            fixed[name] = value
    return SearchSpace(fixed, searched)


def _choice(name: str, values: list[Any]) -> Choice:
    if not values or len(set(map(repr, values))) < len(values):
        raise SpaceError(f"{name}: must list one or more different values, but got {values}")
    return Choice(tuple(values))


def _range(name: str, values: Mapping[str, Any]) -> Range:
    unknown = set(values) - {"low", "high", "step", "log"}
    if unknown or not {"low", "high"} <= set(values):
        raise SpaceError(f"{name}: a range has low and high, and may have step or log")
    numbers = {key: value for key, value in values.items() if key != "log"}
    for key, number in numbers.items():
        if isinstance(number, bool) or not isinstance(number, int | float):
            raise SpaceError(f"{name}: {key} must be a number, but got {number!r}")
    domain = Range(**values)
    if domain.low >= domain.high:
        raise SpaceError(f"{name}: low must be below high, but got {domain.low}, {domain.high}")
    if domain.step is not None and domain.step <= 0:
        raise SpaceError(f"{name}: step must be above 0, but got {domain.step}")
    if domain.log and (domain.low <= 0 or domain.step is not None):
        raise SpaceError(f"{name}: a log range has low above 0 and no step")
    return domain


def _sentence(error: ValidationError) -> str:
    """The first fault as ``[section] field: rule, but got value``."""
    # what is missing comes last: its name may be there, misspelt
    first = min(error.errors(), key=lambda fault: fault["type"] == "missing")
    path = [str(part) for part in first["loc"]]
    if not path:  # of several sections together
        return text.rule(first["msg"])
    if path[0] == "objectives":
        path = path[:1]  # the list as a whole: its places have no names
    inner = [part for part in path[1:] if part != "[key]"]
    where = f"[{path[0]}] {'.'.join(inner)}" if inner else path[0]
    if first["type"] in ("extra_forbidden", "unexpected_keyword_argument") or "[key]" in path:
        return f"{where}: there is no such key; {_known_keys([path[0], *inner])}"
    if first["type"] == "missing":
        return f"{where}: is missing; add it"
    if first["type"] in ("dataclass_type", "is_instance_of", "mapping_type"):
        return f"{where}: must be a table, [{where}], but got {first['input']!r}"
    rule = text.rule(first["msg"])
    if rule.endswith("?"):  # it names the value already
        return f"{where}: {rule}"
    known = re.findall(r"'([^']+)'", first.get("ctx", {}).get("expected", ""))
    hint = text.meant(first["input"], known) if first["type"] == "literal_error" else ""
    return f"{where}: {rule}, but got {first['input']!r}{hint}"


def _known_keys(path: list[str]) -> str:
    sections: dict[str, list[str]] = {
        "budget": _costs(),
        "latency": list(TimedWith.__dataclass_fields__),
        "distillation": list(Distillation.__dataclass_fields__),
        "pretraining": list(Recipe.__dataclass_fields__),
        "data": list(DataConfig.__dataclass_fields__),
        "recipe": list(Recipe.__dataclass_fields__),
        "warm_start": list(WarmStart.__dataclass_fields__),
        "rungs": list(Rungs.__dataclass_fields__),
        "stop": list(Stop.__dataclass_fields__),
        "confirm": list(Confirm.__dataclass_fields__),
        "resources": list(Resources.__dataclass_fields__),
    }
    known = sections[path[-2]] if len(path) > 1 else list(Study.model_fields)
    return text.near(path[-1], known)
