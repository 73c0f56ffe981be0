"""The small sections of a study file; the large ones are `DataConfig`, `SearchSpace`, `Recipe`."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field
from pydantic.dataclasses import dataclass

_Count = Annotated[int, Field(strict=True, ge=1)]


@dataclass(frozen=True, kw_only=True, config={"extra": "forbid"})
class Rungs:
    """The ``[rungs]`` section of a study file.

    Attributes:
        minimum: epochs of the first rung.
        factor: epochs of a rung over those of the one below, and how many candidates it takes for
            one of them to go on.
    """

    minimum: Annotated[int, Field(strict=True, ge=1)] = 1
    factor: Annotated[int, Field(strict=True, ge=2)] = 3

    def levels(self, epochs: int) -> tuple[int, ...]:
        """Epochs of each rung, up to those of the whole training."""
        levels = []
        level = self.minimum
        while level < epochs:
            levels.append(level)
            level *= self.factor
        return (*levels, epochs)


@dataclass(frozen=True, kw_only=True, config={"extra": "forbid"})
class Stop:
    """The ``[stop]`` section of a study file: the search ends at the first limit it meets.

    Limits are looked at between trainings, so that the last one still ends.

    Attributes:
        hours: of one session, on the clock.
        epochs: spent on all trials of all sessions, and on the backbones that they share.
        stale_trials: so many candidates in a row of which none is on the front: the hypervolume
            has not grown since.
    """

    hours: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None
    epochs: _Count | None = None
    stale_trials: _Count | None = None


@dataclass(frozen=True, kw_only=True, config={"extra": "forbid"})
class WarmStart:
    """The ``[warm_start]`` section of a study file.

    Attributes:
        epochs: for which the backbone that candidates share is trained, by the study's recipe
            otherwise; the recipe's own epochs are then those of each candidate's fine-tuning.
    """

    epochs: Annotated[int, Field(strict=True, ge=1)]


@dataclass(frozen=True, kw_only=True, config={"extra": "forbid"})
class Confirm:
    """The ``[confirm]`` section of a study file.

    Attributes:
        seeds: from how many further seeds each member of the front is trained at the end.
    """

    seeds: Annotated[int, Field(strict=True, ge=1, le=100)] = 3


@dataclass(frozen=True, kw_only=True, config={"extra": "forbid"})
class TimedWith:
    """The ``[latency]`` section of a study file: how the engine runs the networks it is timed on.

    Attributes:
        threads: that it may use.
        batch: images a call; the latency is an image's share.
    """

    threads: Annotated[int, Field(strict=True, ge=1, le=256)] = 1
    batch: Annotated[int, Field(strict=True, ge=1, le=1024)] = 1


@dataclass(frozen=True, kw_only=True, config={"extra": "forbid"})
class Resources:
    """The ``[resources]`` section of a study file: what one training takes of a cluster.

    Attributes:
        cpus: processor cores.
        gpus: of a GPU, so that 0.25 puts four trainings on one.
    """

    cpus: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 1.0
    gpus: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.0
