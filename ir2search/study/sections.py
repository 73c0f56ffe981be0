"""The small sections of a study file. The large ones: `DataConfig`, `SearchSpace`, `Recipe`."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field
from pydantic.dataclasses import dataclass

from ir2search.validation import Epochs

_Count = Annotated[int, Field(strict=True, ge=1, le=1_000_000_000)]


@dataclass(frozen=True, kw_only=True, config={"extra": "forbid"})
class Rungs:
    """The ``[rungs]`` section of a study file.

    Attributes:
        minimum: epochs of the first rung.
        factor: each rung has this many times the epochs of the rung below, and one in this many
            candidates goes on to the next rung.
    """

    minimum: _Count = 1
    factor: Annotated[int, Field(strict=True, ge=2, le=1_000_000_000)] = 3

    def levels(self, epochs: int) -> tuple[int, ...]:
        """Epochs of each rung; the last rung is a whole training of ``epochs``."""
        levels, level = [], self.minimum
        while level < epochs:
            levels.append(level)
            level *= self.factor
        return (*levels, epochs)


@dataclass(frozen=True, kw_only=True, config={"extra": "forbid"})
class Stop:
    """The ``[stop]`` section of a study file: the search ends at the first limit that is reached.

    Limits are checked between trainings; trainings that have begun are completed.

    Attributes:
        hours: wall-clock time of the search in one session, without the training of shared weights.
        epochs: of all trials and shared backbones together, in all sessions.
        stale_trials: number of successive candidates that did not join the front.
    """

    hours: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None
    epochs: _Count | None = None
    stale_trials: _Count | None = None


@dataclass(frozen=True, kw_only=True, config={"extra": "forbid"})
class WarmStart:
    """The ``[warm_start]`` section of a study file.

    Attributes:
        epochs: of the training of a shared backbone, which otherwise follows the study's recipe.
            Each candidate is then fine-tuned for the recipe's own epochs.
    """

    epochs: Epochs


@dataclass(frozen=True, kw_only=True, config={"extra": "forbid"})
class Confirm:
    """The ``[confirm]`` section of a study file.

    Attributes:
        seeds: number of further seeds from which networks are trained again at the end.
        trials: which networks: ``"front"``, or ``"all"``, which also tests all of them.
    """

    seeds: Annotated[int, Field(strict=True, ge=1, le=100)] = 3
    trials: Literal["front", "all"] = "front"


_Price = Annotated[float, Field(ge=0, allow_inf_nan=False)]


@dataclass(frozen=True, kw_only=True, config={"extra": "forbid"})
class Board:
    """The ``[latency.board]`` section of a study file: what operations take on another device.

    ``ir2search latency --import`` writes it from times that were measured there.

    Attributes:
        flop_ns: nanoseconds of a full-precision multiply-accumulate.
        bop_ns: of a 1-bit multiply-accumulate.
        sweep_ns: of starting a pass over feature maps.
        element_ns: of an element operation, which counts as neither FLOP nor BOP.
    """

    flop_ns: _Price
    bop_ns: _Price
    sweep_ns: _Price
    element_ns: _Price


@dataclass(frozen=True, kw_only=True, config={"extra": "forbid"})
class LatencySettings:
    """The ``[latency]`` section of a study file: how the runtime runs a network to time it.

    Attributes:
        threads: number of threads.
        batch: images in one call; the latency is the time of a call divided by this number.
        board: another device, whose times are computed; without it networks are timed here.
    """

    threads: Annotated[int, Field(strict=True, ge=1, le=256)] = 1
    batch: Annotated[int, Field(strict=True, ge=1, le=1024)] = 1
    board: Board | None = None


@dataclass(frozen=True, kw_only=True, config={"extra": "forbid"})
class Resources:
    """The ``[resources]`` section of a study file: what one training takes on a cluster.

    Attributes:
        cpus: number of processor cores.
        gpus: number of GPUs; 0.25 puts four trainings on one GPU.
    """

    cpus: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 1.0
    gpus: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.0


@dataclass(frozen=True, kw_only=True, config={"extra": "forbid"})
class SupernetSection:
    """The ``[supernet]`` section of a study file: weights that all candidates share.

    They are trained first, by the study's recipe. A candidate's accuracy is then that of its part
    of these weights ("inherited"), which needs no training. The threshold of the restriction only
    matters in training. The search therefore does not vary it, and uses the first value of its list
    or range. The training of the shared weights draws the threshold at random.

    Attributes:
        epochs: of the training of the shared weights.
        random: networks drawn at random in each step, besides the largest and the smallest.
        calibration: training images that give the BatchNorms' statistics of a candidate.
        members: what happens to the front after the search: its networks stay as they are
            ("inherited"), are trained further ("fine-tuned"), or are trained from scratch by the
            study's recipe ("trained").
        finetune: epochs of the fine-tuning, at a tenth of the recipe's learning rate.
    """

    epochs: Epochs = 60
    random: Annotated[int, Field(strict=True, ge=0, le=100)] = 2
    calibration: Annotated[int, Field(strict=True, ge=16, le=1_000_000)] = 1024
    members: Literal["inherited", "fine-tuned", "trained"] = "inherited"
    finetune: Epochs = 5
