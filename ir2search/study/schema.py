"""The study file: what is searched, on which images, by which sampler, for how long."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PrivateAttr,
    field_serializer,
    field_validator,
    model_validator,
)

from ir2search.data import DataConfig
from ir2search.errors import StudyError
from ir2search.extensions import UserModule
from ir2search.notebook import html_table
from ir2search.space import SearchSpace
from ir2search.space.domains import ends
from ir2search.study.names import checked_name
from ir2search.study.objectives import LATENCY, OBJECTIVES, cost_names
from ir2search.study.recipe_section import searched_as_dict, split_recipe
from ir2search.study.samplers import SAMPLERS
from ir2search.study.sections import (
    Board,
    Confirm,
    LatencySettings,
    Resources,
    Rungs,
    Stop,
    SupernetSection,
    WarmStart,
)
from ir2search.study.space_section import parse_space, space_as_dict
from ir2search.supernet.extremes import check_shareable
from ir2search.training import Recipe
from ir2search.zoo import named_recipe

SUFFIXES = {"": 1.0, "k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12}


def _quantity(value: object) -> object:
    """Read "2M" or "500 k" as a number."""
    if not isinstance(value, str):
        return value
    match = re.fullmatch(r"\s*([0-9.]+(?:e[0-9]+)?)\s*([kMGT]?)B?\s*", value)
    try:
        return float(match[1]) * SUFFIXES[match[2]] if match else value
    except ValueError:
        return value


def _cost_name(name: str) -> str:
    if name == "accuracy" or name not in OBJECTIVES:
        raise ValueError(f"must be one of {', '.join(cost_names())}, but got {name!r}")
    return name


def _sampler_name(name: str) -> str:
    if name not in SAMPLERS:
        raise ValueError(SAMPLERS.missing(name))
    return name


CostName = Annotated[str, AfterValidator(_cost_name)]
SamplerName = Annotated[str, AfterValidator(_sampler_name)]
Quantity = Annotated[float, BeforeValidator(_quantity), Field(gt=0, allow_inf_nan=False)]


class Study(BaseModel):
    """A validated study file; frozen.

    Attributes:
        name: of the study, and of its run's folder.
        seed: of all random numbers.
        modules: the study's own Python modules. Their code is run, see `ir2search.extensions`.
        trials: number of different candidates to train.
        parallel: the largest number of candidates in training at the same time. The next one is
            chosen when the earliest of them has its result. The candidates therefore do not depend
            on the number or the speed of workers. With fewer, each choice is based on more results.
        sampler: name of the sampler that proposes candidates, one of `SAMPLERS`.
        objectives: two or more of accuracy, ops, flops, bops, memory, ram, flash, latency, and the
            names that `register_objective` added.
        data: the images.
        space: the candidates, including the searched fields of the recipe.
        budget: upper limits of costs, by name; a candidate above one is not trained.
        latency: how the runtime runs a network to time it, if the study uses the latency.
        recipe: how each candidate is trained; a study file may give a name for `named_recipe`.
            Searched fields have the candidate's own values.
        supernet: candidates are measured with their part of shared weights, which are trained
            first. Without it each candidate is trained.
        warm_start: candidates with the same backbone start from one that is trained once. Without
            it each candidate is trained from scratch.
        rungs: the epochs at which candidates are compared and only the best go on. Without it
            each candidate is trained to the end.
        stop: limits that end the search before all trials are trained.
        confirm: the front, or all networks, are trained from further seeds at the end.
        resources: what one training takes on a cluster.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True)

    name: Annotated[str, AfterValidator(checked_name)]
    seed: Annotated[int, Field(strict=True, ge=0, lt=2**31)] = 0
    modules: tuple[UserModule, ...] = ()
    trials: Annotated[int, Field(strict=True, ge=1, le=1_000_000_000)] = 20
    parallel: Annotated[int, Field(strict=True, ge=1, le=1000)] = 4
    sampler: SamplerName = "tpe"
    objectives: tuple[str, ...] = ("accuracy", "ops")
    data: DataConfig = DataConfig()
    space: SearchSpace
    budget: Mapping[CostName, Quantity] = {}
    latency: LatencySettings = LatencySettings()
    recipe: Recipe = Recipe()
    supernet: SupernetSection | None = None
    warm_start: WarmStart | None = None
    rungs: Rungs | None = None
    stop: Stop = Stop()
    confirm: Confirm | None = None
    resources: Resources = Resources()
    _source: str = PrivateAttr("study")

    def __repr__(self) -> str:
        objectives, searched = ", ".join(self.objectives), len(self.space.searched)
        return (
            f"Study({self.name!r}, {self.trials} trials, objectives {objectives}, "
            f"{searched} searched parameters)"
        )

    __str__ = __repr__

    def _repr_html_(self) -> str:
        rows = [
            ("objectives", ", ".join(self.objectives)),
            ("trials", f"{self.trials}, sampler {self.sampler}, seed {self.seed}"),
            ("data", f"{self.data.source}"),
            ("epochs of a trial", self.recipe.epochs),
            (
                "budget",
                ", ".join(f"{name} {limit}" for name, limit in self.budget.items()) or "none",
            ),
            *((name, domain) for name, domain in self.space.searched.items()),
        ]
        return html_table(f"Study {self.name}", ("setting", "value"), rows)

    @property
    def source(self) -> str:
        """The file it was read from, for messages."""
        return self._source

    @property
    def costs(self) -> tuple[str, ...]:
        """Names of the costs, each once: objectives first, then those of the budget only."""
        names = (*self.objectives, *self.budget)
        return tuple(dict.fromkeys(name for name in names if name != "accuracy"))

    @property
    def confirms_all(self) -> bool:
        """Whether all networks are tested and trained from further seeds, not only the front."""
        return self.confirm is not None and self.confirm.trials == "all"

    @property
    def is_timed(self) -> bool:
        """Whether candidates are timed on this machine."""
        return LATENCY in self.costs and self.latency.board is None

    @property
    def board(self) -> Board | None:
        """The device whose latency is computed for each candidate, if the study uses it."""
        return self.latency.board if LATENCY in self.costs else None

    @property
    def search_space(self) -> SearchSpace:
        """What the sampler searches: the space, without the threshold if there is a supernet."""
        searched = dict(self.space.searched)
        if self.supernet is None or "threshold" not in searched:
            return self.space
        first = ends(searched.pop("threshold"))[0]
        return SearchSpace({**self.space.fixed, "threshold": first}, searched)

    @property
    def candidate_epochs(self) -> int:
        """Epochs that are trained for one candidate alone; 0 with a supernet."""
        return self.recipe.total_epochs if self.supernet is None else 0

    @property
    def all_epochs(self) -> int:
        """Epochs of the search if all candidates are trained to the end.

        With a warm start, each has a shared backbone of its own at most; with a supernet, only its
        epochs count.
        """
        if self.supernet is not None:
            return self.supernet.epochs
        backbone = 0 if self.warm_start is None else self.warm_start.epochs
        return self.trials * (self.recipe.total_epochs + backbone)

    def over_budget(self, costs: Mapping[str, Any]) -> str | None:
        """Why costs exceed the budget, in words, or None.

        Args:
            costs: by column of the table of trials. A cost that is missing, such as a latency not
                yet measured, is not checked.
        """
        for name, limit in self.budget.items():
            value = costs.get(OBJECTIVES[name].budget_column, 0.0)
            if value > limit:
                return f"over budget: {name} {value:g} > {limit:g}"
        return None

    @field_validator("objectives", mode="before")
    @classmethod
    def _two_distinct(cls, value: Any) -> Any:
        is_list = isinstance(value, list | tuple) and all(isinstance(name, str) for name in value)
        if not is_list or len(value) < 2 or len(set(value)) < len(value):
            raise ValueError(f"must list two or more different objectives, but got {value!r}")
        for name in value:
            if name not in OBJECTIVES:
                raise ValueError(OBJECTIVES.missing(name))
        return tuple(value)

    @model_validator(mode="before")
    @classmethod
    def _searched_recipe(cls, values: Any) -> Any:
        """Move the searched values of the recipe to the space."""
        recipe, space = values.get("recipe"), values.get("space")
        if not isinstance(recipe, Mapping) or not isinstance(space, Mapping):
            return values
        fixed, searched = split_recipe(recipe)
        return {**values, "recipe": fixed, "space": {**space, **searched}}

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
    def _sections_agree(self) -> Study:
        for name in ("rungs", "warm_start"):
            if getattr(self, name) is not None and self.recipe.pretraining is not None:
                raise ValueError(f"[{name}] needs a recipe of one stage; leave [{name}] out")
        if self.supernet is not None:
            _check_supernet(self)
        if self.rungs is not None and self.rungs.minimum >= self.recipe.epochs:
            raise ValueError(
                f"[rungs] minimum: must be below the recipe's {self.recipe.epochs} epochs, "
                f"but got {self.rungs.minimum}"
            )
        if self.latency != LatencySettings() and LATENCY not in self.costs:
            raise ValueError("[latency] needs latency among the objectives or in [budget]")
        if self.latency.board is not None and self.latency != LatencySettings(
            board=self.latency.board
        ):
            raise ValueError("[latency] threads and batch have no effect with [latency.board]")
        return self

    @model_validator(mode="after")
    def _sampler_has_what_it_needs(self) -> Study:
        needs = SAMPLERS[self.sampler]
        if needs.accuracy and "accuracy" not in self.objectives:
            raise ValueError(f'sampler: "{self.sampler}" needs accuracy among the objectives')
        if needs.finite_space:
            self.space.grid()
        return self

    @field_serializer("space")
    def _written_space(self, space: SearchSpace) -> dict[str, Any]:
        return space_as_dict(space)

    @field_serializer("recipe", mode="wrap")
    def _written_recipe(self, recipe: Recipe, write: Callable[[Recipe], Any]) -> dict[str, Any]:
        searched = searched_as_dict(self.space)  # in the order in which the search draws them
        fixed = {name: value for name, value in write(recipe).items() if name not in searched}
        return fixed | searched

    @field_serializer("modules")
    def _written_modules(self, modules: tuple[UserModule, ...]) -> list[str]:
        return [module.saved_as() for module in modules]


def _check_supernet(study: Study) -> None:
    assert study.supernet is not None
    for name in ("rungs", "warm_start"):
        if getattr(study, name) is not None:
            raise ValueError(f"[{name}] does not go with [supernet]; leave one of them out")
    if study.confirm is not None and study.supernet.members != "trained":
        raise ValueError(
            '[confirm] compares trainings from several seeds; give [supernet] members = "trained", '
            "or leave [confirm] out"
        )
    if study.recipe.pretraining is not None:
        raise ValueError("[supernet] needs a recipe of one stage; leave its pretraining out")
    check_shareable(study.space)
