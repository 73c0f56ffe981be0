"""What a study will take, before it is run: its space, its budget, its epochs and its time."""

from __future__ import annotations

import contextlib
import itertools
import math
import random
import statistics
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch

from ir2search.data import ImageData
from ir2search.errors import CandidateError, StudyError
from ir2search.intervals import share_interval
from ir2search.runs.supernets import run_supernet
from ir2search.search.epochs import confirmed_epochs, expected_epochs
from ir2search.search.executors import TrainingContext
from ir2search.search.executors.devices import Workers, with_fitting_workers, worker_devices
from ir2search.search.latency_timer import LatencyTimer
from ir2search.search.problem import PricedCandidate, Problem
from ir2search.search.session import checked_study
from ir2search.seeds import derive_seed
from ir2search.space import build
from ir2search.study.objectives import FLASH, LATENCY, OBJECTIVES, RAM
from ir2search.study.schema import Study
from ir2search.supernet.calibration import calibration_batches
from ir2search.training import Interrupted, accuracy, train
from ir2search.training.statistics import calibrate

DRAWS = 1000  # points of a large space to count; a smaller space is counted whole
DEVICE_DRAWS = 100  # if RAM or flash is counted, which takes tenths of a second for each network
STEPS = 6  # training steps to time; the first is a warm-up
LONGEST = 20.0  # seconds after which no further step is timed
EVALUATED = 512  # validation images to time


@dataclass(frozen=True)
class CostRange:
    """The costs of the networks within the budget: ``name`` is that of the objective."""

    name: str
    least: float
    median: float
    most: float

    @property
    def ends(self) -> tuple[float, float, float]:
        """The least, the median and the most."""
        return self.least, self.median, self.most


@dataclass(frozen=True)
class Estimate:
    """What a study will take.

    Attributes:
        name: of the study.
        combinations: number of combinations of the searched values; infinite with a continuous one.
        counted: number of combinations whose costs were counted.
        is_exact: whether these are all combinations; else they are a random sample.
        has_budget: whether the study has a budget.
        within: share of the combinations that are networks, within the budget if there is one.
        interval: the 95% interval of this share.
        networks: number of different networks among those within the budget.
        costs: ranges of the costs that are objectives, or have a budget, over these networks.
        trials: number of candidates to train.
        epochs: of the search if all candidates are trained to the end, see `Study.all_epochs`.
        expected_epochs: with early stopping; it is an estimate for samplers that decide themselves.
        confirmed_epochs: for each network that is trained at the end: from further seeds, or after
            a search with shared weights.
        step_seconds: of a training step of a network with the median number of operations.
        epoch_seconds: of an epoch of this network, with validation.
        workers: number of trainings at the same time.
        seconds: expected time of the search, if workers do not slow each other down.
        measurement_seconds: to measure a network of median size with shared weights; None for a
            study that trains each candidate.
    """

    name: str
    combinations: float
    counted: int
    is_exact: bool
    has_budget: bool
    within: float
    interval: tuple[float, float]
    networks: int
    costs: tuple[CostRange, ...]
    trials: int
    epochs: int
    expected_epochs: int
    confirmed_epochs: int
    step_seconds: float
    epoch_seconds: float
    workers: int
    seconds: float
    measurement_seconds: float | None

    def as_dict(self) -> dict[str, Any]:
        """All fields as values for JSON; None for an infinite number of combinations."""
        known = math.isfinite(self.combinations)
        return asdict(self) | {"combinations": int(self.combinations) if known else None}


def estimate(
    study: Study,
    folder: str | Path,
    *,
    data: str | Path | None = None,
    device: str = "auto",
    workers: Workers = None,
    trials_per_device: int | None = None,
) -> Estimate:
    """Estimate what `run` with the same arguments would take.

    No network is trained for a whole epoch. Nothing is written but the cache of
    decoded images. Latencies are not timed: a budget on them is left out.

    Raises:
        InputError: the study, the data, the folder or a device cannot be used, as for `run`.
    """
    folder, places = Path(folder), worker_devices(device, workers, trials_per_device)
    checked, context = checked_study(study, folder, None if data is None else Path(data))
    places = with_fitting_workers(places, workers, checked, context.data, checked.parallel)
    space = checked.search_space.with_data(context.data.image, context.data.classes)
    problem = Problem(checked, space, LatencyTimer(checked, folder.parent))
    draws = DEVICE_DRAWS if {RAM, FLASH} & set(checked.costs) else DRAWS
    points = list(space.points(random.Random(derive_seed(checked.seed, "estimate")), draws))
    kept = _within_budget(problem, points)
    distinct = {each.candidate.id: each for each in kept}
    if not distinct:
        raise StudyError(
            f"{checked.source}: none of {len(points)} random combinations is a network within the "
            "budget; raise [budget] or narrow [space]"
        )
    by_ops = sorted(distinct.values(), key=lambda each: each.costs["ops"])
    step, epoch = timed_epoch(checked, context, by_ops[len(by_ops) // 2], places[0])
    expected, measurement = expected_epochs(checked), None
    seconds = expected * epoch / len(places)
    if checked.supernet is not None:
        measurement = _measurement(checked, context.data, by_ops[len(by_ops) // 2], places[0])
        training = _supernet_epoch(checked, context, measurement, places[0])
        seconds = expected * training + checked.trials * measurement
    return Estimate(
        name=checked.name,
        combinations=space.size,
        counted=len(points),
        is_exact=space.size <= draws,
        has_budget=bool(checked.budget),
        within=len(kept) / len(points),
        interval=share_interval(len(kept) / len(points), len(points)),
        networks=len(distinct),
        costs=tuple(_ranges(checked, by_ops)),
        trials=checked.trials,
        epochs=checked.all_epochs,
        expected_epochs=expected,
        confirmed_epochs=confirmed_epochs(checked),
        step_seconds=step,
        epoch_seconds=epoch,
        workers=len(places),
        seconds=seconds,
        measurement_seconds=measurement,
    )


def timed_epoch(
    study: Study, context: TrainingContext, priced: PricedCandidate, device: torch.device
) -> tuple[float, float]:
    """Time a few training steps of a network, and the evaluation of a few images.

    Returns:
        Seconds of a step, and of an epoch with validation as the recipe asks for it.
    """
    recipe = study.recipe.with_values(dict(priced.candidate.recipe))
    data = context.data
    with tempfile.TemporaryDirectory() as place:
        begin = partial(
            train,
            priced.candidate,
            study.recipe,
            data,
            Path(place),
            seed=study.seed,
            device=device,
            teacher=context.teacher,
        )
        step = _step_seconds(begin)
    batches = max(1, len(data.train) // recipe.batch_size)
    share = 1 / recipe.validate_every
    return step, batches * step + share * _evaluation(data, priced, device)


def _step_seconds(begin: Callable[..., object]) -> float:
    """Begin a training, stop it after a few steps, and return the median time of a step.

    ``begin`` takes ``should_stop``, which is called before each step.
    """
    moments: list[float] = []

    def enough() -> bool:
        moments.append(time.perf_counter())
        begun = len(moments) > 2 and moments[-1] - moments[0] > LONGEST
        return len(moments) > STEPS or begun

    with contextlib.suppress(Interrupted):
        begin(should_stop=enough)
    steps = [after - before for before, after in itertools.pairwise(moments[1:])]
    return statistics.median(steps or [moments[-1] - moments[0]])


def _evaluation(data: ImageData, priced: PricedCandidate, device: torch.device) -> float:
    """Seconds to evaluate the validation images, from the time of the first of them."""
    network = build(priced.candidate).to(device)
    sample = data.validation.first(EVALUATED).to(device)
    start = time.perf_counter()
    accuracy(network, data, sample)
    return (time.perf_counter() - start) * len(data.validation) / len(sample)


def _within_budget(problem: Problem, points: Iterable[dict[str, Any]]) -> list[PricedCandidate]:
    found = []
    for point in points:
        try:
            priced = problem.priced(point)
        except (CandidateError, MemoryError):
            continue
        if problem.study.over_budget(priced.costs) is None:
            found.append(priced)
    return found


def _ranges(study: Study, kept: Sequence[PricedCandidate]) -> Iterable[CostRange]:
    names = [name for name in study.costs if name != LATENCY]
    for name in dict.fromkeys(["ops", *names, "memory"]):
        values = sorted(float(each.costs[OBJECTIVES[name].column]) for each in kept)
        yield CostRange(name, values[0], values[len(values) // 2], values[-1])


def _supernet_epoch(
    study: Study, context: TrainingContext, measurement: float, device: torch.device
) -> float:
    """Seconds of an epoch of shared weights, from the time of a few of its steps.

    At its end the largest and the smallest network are measured; ``measurement`` is the time for
    one of median size.
    """
    with tempfile.TemporaryDirectory() as place:
        supernet = run_supernet(study, Path(place), context.data)
        assert supernet is not None
        begin = partial(supernet.train, context.data, device=device, teacher=context.teacher)
        step = _step_seconds(begin)
    batches = max(1, len(context.data.train) // supernet.recipe.batch_size)
    return batches * step + 2 * measurement / supernet.recipe.validate_every


def _measurement(
    study: Study, data: ImageData, priced: PricedCandidate, device: torch.device
) -> float:
    """Seconds to set a network's statistics on training images, and to evaluate it."""
    assert study.supernet is not None
    network = build(priced.candidate).to(device)
    batches = calibration_batches(
        data, study.supernet.calibration, study.recipe.augmentation, device
    )
    start = time.perf_counter()
    calibrate(network, batches)
    return time.perf_counter() - start + _evaluation(data, priced, device)
