"""Run a study: ask Optuna for candidates, train them, tell it what they gave."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import optuna
import torch
from optuna.trial import FrozenTrial, Trial, TrialState
from torch import nn

from ir2search.costs import Cost, cost
from ir2search.data import ImageData, load_data
from ir2search.errors import CandidateError, RunError, SpaceError, TrainingDiverged
from ir2search.files import add_session, locked, write_json
from ir2search.interrupts import deferred_interrupts
from ir2search.search.confirm import confirm
from ir2search.search.folder import check_claim, open_storage, trial_folder, write_study
from ir2search.search.objectives import OBJECTIVES
from ir2search.search.results import (
    RUNGS,
    TEST_FILE,
    RunStatus,
    State,
    front_of,
    state_of,
    status,
    trials_of,
)
from ir2search.search.rungs import Ladder, Observations
from ir2search.search.samplers import GENETIC, derive_seed, distributions, make_sampler
from ir2search.search.study import Study
from ir2search.space import Candidate, SearchSpace
from ir2search.training import (
    EpochResult,
    Interrupted,
    TrainingResult,
    accuracy,
    load_network,
    load_teacher,
    pick_device,
    train,
)
from ir2search.training.checkpoint import BEST

EXHAUSTED = "the space holds no further candidate within the budget"
STALE_PROPOSALS = 20  # so many proposals in a row with nothing new: take a new point at random
RANDOM_DRAWS = 2000
OUT_OF_MEMORY = (RuntimeError, MemoryError)  # torch says so by the first, and more besides


class RunObserver:
    """What a run tells while it works; every method may be overridden."""

    def on_start(
        self, study: Study, done: list[dict[str, float] | None], waiting: list[int]
    ) -> None:
        """The data is ready; ``done`` has the objectives of what earlier sessions trained.

        None stands for a trial that failed or was stopped; ``waiting`` are the numbers of trials
        that wait at a rung.
        """

    def on_trial(self, number: int, candidate: Candidate, price: Cost) -> None:
        """A candidate's training starts or goes on."""

    def on_step(self, number: int, progress: float) -> None:
        """A training step begins, after so many epochs and parts of one."""

    def on_epoch(self, number: int, result: EpochResult) -> None:
        """An epoch is on disk."""

    def on_wait(self, number: int, epochs: int, accuracy: float) -> None:
        """A trial reached a rung and waits there, with its best validation accuracy so far."""

    def on_trial_end(
        self, number: int, state: State, outcome: str, values: dict[str, float] | None
    ) -> None:
        """A trial ended in a state; ``outcome`` says why it was not trained."""

    def on_search_end(self, reason: str) -> None:
        """The search ends before all trials are trained; ``reason`` says why."""

    def on_confirm(self, number: int, seed: int, accuracy: float, test_accuracy: float) -> None:
        """A front member was trained from a further seed, the ``seed``-th."""

    def on_test(self, number: int, test_accuracy: float) -> None:
        """A front member was measured on the test set."""


def run(
    study: Study,
    folder: str | Path,
    *,
    data: str | Path | None = None,
    device: str = "auto",
    observer: RunObserver | None = None,
) -> RunStatus:
    """Run a study in a folder, or go on with it, until it has trained all its trials.

    Equal candidates are trained once; those over the budget are turned down untrained; a trial
    that fails is recorded with its reason. At the end, and only then, the members of the front
    are measured on the test set.

    Args:
        study: from `load_study`.
        folder: the run's own folder, made where needed. Decoded images are cached beside it.
        data: the folder of images, where the study reads one.
        device: ``"auto"``, ``"cpu"``, ``"cuda"``, ``"cuda:1"``, ...
        observer: told what happens.

    Raises:
        InputError: the study, the data or the folder is not as it should be.
        KeyboardInterrupt: asked to stop; all but the current epoch is kept.
    """
    folder, where = Path(folder), pick_device(device)
    path = Path(data) if data is not None else None
    if folder.parent.exists() and not folder.parent.is_dir():
        raise RunError(f"{folder.parent}: not a folder; give --runs a folder")
    # checked before the folder is made, so that a wrong --data leaves nothing behind
    images = load_data(study.data, path, folder.parent / ".cache", study.seed)
    space = study.space.with_data(images.image, images.classes)
    check_budget(study, space)
    teacher = None
    if study.recipe.distillation is not None:
        teacher = load_teacher(study.recipe.distillation, images.image, images.classes)
    if path is not None:
        study = study.model_copy(update={"data": replace(study.data, path=str(path.resolve()))})
    check_claim(folder, study)
    with locked(folder), deferred_interrupts() as should_stop:
        write_study(folder, study)
        storage = open_storage(folder, study, create=True)
        _check_data(storage, images, folder)
        add_session(folder, study.seed, where)
        session = _Session(
            study=study,
            space=space,
            storage=storage,
            data=images,
            folder=folder,
            device=where,
            teacher=teacher,
            observer=observer or RunObserver(),
            should_stop=should_stop,
        )
        try:
            session.run()
        except Interrupted:
            raise KeyboardInterrupt from None
    return status(folder)


def check_budget(study: Study, space: SearchSpace) -> None:
    """Raise SpaceError where no candidate of the space is within the study's budget."""
    nearest: tuple[float, str, float] | None = None
    for candidate in space.corners():
        try:
            costs = _costs(cost(candidate)) if study.budget else {}
        except OUT_OF_MEMORY:
            continue
        excess = max(
            ((costs[name] / limit, name, costs[name]) for name, limit in study.budget.items()),
            default=(0.0, "", 0.0),
        )
        if excess[0] <= 1:
            return
        nearest = min(nearest or excess, excess)
    if nearest is None:
        raise SpaceError(
            f"{study.source}: [space] no combination of its values names a network; widen it"
        )
    _, name, value = nearest
    raise SpaceError(
        f"{study.source}: [budget] {name}: no candidate of the space is within the budget; "
        f"the nearest has {value:g} {OBJECTIVES[name].label}; raise it or widen [space]"
    )


def over_budget(study: Study, price: Cost) -> str | None:
    """A sentence on the first cost over the study's budget; None within the budget."""
    costs = _costs(price)
    for name, limit in study.budget.items():
        if costs[name] > limit:
            return f"over budget: {name} {costs[name]:g} > {limit:g}"
    return None


@dataclass
class _Session:
    """One process's work on a study."""

    study: Study
    space: SearchSpace
    storage: optuna.Study
    data: ImageData
    folder: Path
    device: torch.device
    teacher: nn.Module | None
    observer: RunObserver
    should_stop: Callable[[], bool]
    seen: dict[str, int] = field(default_factory=dict)  # trial that stands for a candidate, by id
    outcomes: dict[int, tuple[TrialState, list[float] | None]] = field(default_factory=dict)
    waiting: dict[int, Trial] = field(default_factory=dict)  # at a rung, by number
    trained: int = 0  # candidates that were, at least to the first rung
    proposed: int = 0
    queued: int = 0  # points that are proposed next
    spent: int = 0  # epochs, on all trials
    began: float = field(default_factory=time.monotonic)

    def __post_init__(self) -> None:
        rungs, epochs = self.study.rungs, self.study.recipe.epochs
        levels = (epochs,) if rungs is None else rungs.levels(epochs)
        self.ladder = Ladder(levels, 1 if rungs is None else rungs.factor)
        self.observations = Observations(len(levels), len(self.study.objectives))

    def run(self) -> None:
        """Take up what was left running, then propose until all is trained; then test."""
        unfinished = self._recall()
        done = [
            self._named(values)
            for state, values in self.outcomes.values()
            if state != TrialState.PRUNED
        ]
        done += [None] * (self.trained - len(done) - len(self.waiting))
        self.observer.on_start(self.study, done, list(self.waiting))
        for trial in unfinished:
            self._evaluate(trial)
        stale = 0
        while True:
            if self.should_stop():
                raise Interrupted
            if (reason := self._limit()) is not None:
                self.observer.on_search_end(reason)
                break
            if self._climb():
                continue
            if self.trained >= self.study.trials:
                break
            if (stale >= STALE_PROPOSALS or self.study.sampler == "grid") and not self._enqueue():
                self.observer.on_search_end(EXHAUSTED)
                break
            before = self.trained
            self._evaluate(self._ask())
            stale = 0 if self.trained > before else stale + 1
        for number in self.ladder.waiting():
            self._stop(self.waiting[number], "others of its rung went on")
        self._test_front()
        self._confirm_front()

    def _limit(self) -> str | None:
        """Which of the study's limits is met, if any."""
        seconds = time.monotonic() - self.began
        ladder = self.ladder
        return self.study.stop.reason(seconds, self.spent, ladder.begun(), ladder.finished())

    def _climb(self) -> bool:
        """Go on with the best trial that waits at a rung; False where none may."""
        step = self.ladder.next()
        if step is None:
            return False
        number, level = step
        trial = self.waiting[number]
        candidate = self.space.candidate(trial.params)
        price = cost(candidate)
        if (better := self._betters(price)) is not None:
            self._stop(trial, better)
        else:
            self._guarded(trial, lambda: self._train_to(trial, candidate, price, level))
        return True

    def _recall(self) -> list[Trial]:
        """Learn from the storage what earlier sessions did; gives the trials they left running."""
        unfinished = []
        for trial in self.storage.get_trials(deepcopy=False):
            if trial.state == TrialState.WAITING:
                self.queued += 1
                continue
            self.proposed += 1
            self._remember_rungs(trial)
            state = state_of(trial)
            if state == "waiting":
                self._wait(Trial(self.storage, trial._trial_id))
            elif state == "unfinished":
                unfinished.append(Trial(self.storage, trial._trial_id))
            else:
                self._count(trial.number, trial.user_attrs, trial.state, trial.values)
        return unfinished

    def _remember_rungs(self, trial: FrozenTrial) -> None:
        """Learn what a trial gave at its rungs."""
        if "duplicate_of" in trial.user_attrs:
            return
        attributes = trial.user_attrs
        reached = dict(attributes.get(RUNGS, {}))
        if trial.state == TrialState.COMPLETE:
            reached[str(self.ladder.levels[-1])] = attributes["accuracy"]
        self.spent += max(map(int, reached), default=0)
        for epochs, best in reached.items():
            level = self.ladder.levels.index(int(epochs))
            values = self._minimised(attributes["cost"], best)
            self._record(trial.number, trial.params, level, values)
        if trial.state.is_finished():
            self.ladder.end(trial.number)

    def _record(
        self, number: int, parameters: dict[str, Any], level: int, values: tuple[float, ...]
    ) -> None:
        self.ladder.record(number, level, values)
        if self.study.rungs is not None:
            self.observations.add(level, parameters, distributions(self.space), values)

    def _minimised(self, costs: Mapping[str, Any], accuracy: float) -> tuple[float, ...]:
        """The objectives of these totals of a cost, each to be made small."""
        return tuple(
            1 - accuracy if name == "accuracy" else float(costs[OBJECTIVES[name].column])
            for name in self.study.objectives
        )

    def _ask(self) -> Trial:
        """A new trial. With rungs, samplers that can learn from stopped trials do."""
        sampler = make_sampler(self.study.sampler, self.study.seed, self.proposed)
        self.proposed += 1
        if self.queued:
            self.queued -= 1
        elif self.study.rungs is not None and self.study.sampler not in GENETIC:
            proposed = self.observations.propose(sampler, distributions(self.space))
            self.storage.enqueue_trial(proposed)
        self.storage.sampler = sampler
        return self.storage.ask(distributions(self.space))

    def _enqueue(self) -> bool:
        """Queue a point that is new and within the budget, at random; False if none was found."""
        generator = random.Random(derive_seed(self.study.seed, "enqueue", self.proposed))
        for point in self.space.points(generator, RANDOM_DRAWS):
            try:
                candidate = self.space.candidate(point)
            except CandidateError:
                continue
            if candidate.id not in self.seen and self._is_affordable(candidate):
                self.storage.enqueue_trial(point)
                self.queued += 1
                return True
        return False

    def _is_affordable(self, candidate: Candidate) -> bool:
        """Whether it is within the budget, as far as one can say before it is tried."""
        try:
            return not self.study.budget or over_budget(self.study, cost(candidate)) is None
        except OUT_OF_MEMORY:
            return True

    def _evaluate(self, trial: Trial) -> None:
        """Train the trial's candidate, or find out why not, and tell the study."""
        if set(trial.params) != set(self.space.searched):
            self._end(trial, TrialState.FAIL, "interrupted before it was proposed")
            return
        try:
            candidate = self.space.candidate(trial.params)
        except CandidateError as error:
            self._end(trial, TrialState.PRUNED, f"names no network: {error}")
            return
        trial.set_user_attr("candidate_id", candidate.id)
        trial.set_user_attr("candidate", candidate.as_dict())
        if candidate.id in self.seen:
            self._repeat(trial, self.seen[candidate.id])
            return
        self._guarded(trial, lambda: self._train(trial, candidate))

    def _guarded(self, trial: Trial, work: Callable[[], None]) -> None:
        """Do the work on a trial, and record what it fails of."""
        try:
            work()
        except TrainingDiverged as error:
            self._end(trial, TrialState.FAIL, f"diverged: {error}")
        except OUT_OF_MEMORY as error:
            self._end(trial, TrialState.FAIL, _reason(error))

    def _train(self, trial: Trial, candidate: Candidate) -> None:
        price = cost(candidate)
        refusal = over_budget(self.study, price) or self._betters(price)
        if refusal is not None:
            self._end(trial, TrialState.PRUNED, refusal)
            return
        folder = trial_folder(self.folder, trial.number)
        write_json(folder / "candidate.json", candidate.as_dict())
        write_json(folder / "cost.json", price.as_dict())
        trial.set_user_attr("cost", price.totals())
        self._train_to(trial, candidate, price, 0)

    def _train_to(self, trial: Trial, candidate: Candidate, price: Cost, level: int) -> None:
        """Train to a rung, or to the end where that is the highest one."""
        epochs = self.ladder.levels[level]
        self.observer.on_trial(trial.number, candidate, price)
        result = train(
            candidate,
            self.study.recipe,
            self.data,
            trial_folder(self.folder, trial.number),
            seed=derive_seed(self.study.seed, "train", candidate.id),
            until=epochs,
            device=self.device,
            teacher=self.teacher,
            on_epoch=lambda epoch: self.observer.on_epoch(trial.number, epoch),
            on_step=lambda progress: self.observer.on_step(trial.number, progress),
            should_stop=self.should_stop,
        )
        self._measure(trial, level, price, result)

    def _measure(self, trial: Trial, level: int, price: Cost, result: TrainingResult) -> None:
        """Write down what a trial gave at a rung."""
        best = result.best
        trial.set_user_attr("seconds", result.seconds)
        trial.set_user_attr("best_epoch", best.epoch)
        trial.set_user_attr("accuracy", best.validation_accuracy)
        if self.study.rungs is not None:
            epochs = self.ladder.levels[level]
            reached = trial.user_attrs.get(RUNGS, {}) | {str(epochs): best.validation_accuracy}
            trial.set_user_attr(RUNGS, reached)
        self.spent += self.ladder.levels[level] - (self.ladder.levels[level - 1] if level else 0)
        values = self._minimised(price.totals(), best.validation_accuracy)
        self._record(trial.number, trial.params, level, values)
        if level + 1 < len(self.ladder.levels):
            if trial.number not in self.waiting:
                self._wait(trial)
            self.observer.on_wait(trial.number, epochs, best.validation_accuracy)
            return
        measured = {"accuracy": best.validation_accuracy, **_costs(price)}
        told = [measured[name] for name in self.study.objectives]
        self._end(trial, TrialState.COMPLETE, "trained", told)

    def _wait(self, trial: Trial) -> None:
        """Remember a trial that reached a rung, if not the last."""
        self.waiting[trial.number] = trial
        self.seen[trial.user_attrs["candidate_id"]] = trial.number
        self.trained += 1

    def _stop(self, trial: Trial, reason: str) -> None:
        """End a trial that waits at a rung."""
        epochs = max(map(int, trial.user_attrs[RUNGS]))
        whole = self.study.recipe.epochs
        self._end(trial, TrialState.PRUNED, f"stopped after {epochs} of {whole} epochs: {reason}")

    def _betters(self, price: Cost) -> str | None:
        """A sentence on a trained trial that a candidate could not better with no error at all."""
        if "accuracy" not in self.study.objectives:
            return None
        ideal = self._minimised(price.totals(), 1.0)
        for number, values in self.ladder.finished():
            if all(value <= best for value, best in zip(values, ideal, strict=True)):
                return f"even without any error it would not better trial {number}"
        return None

    def _repeat(self, trial: Trial, original: int) -> None:
        """Answer a candidate that was met before with what it gave then."""
        trial.set_user_attr("duplicate_of", original)
        state, values = self.outcomes.get(original, (TrialState.PRUNED, None))
        self._end(trial, state, f"same network as trial {original}", values)

    def _end(
        self, trial: Trial, state: TrialState, outcome: str, values: list[float] | None = None
    ) -> None:
        trial.set_user_attr("outcome", outcome)
        ended = self.storage.tell(trial, values, state)
        self.ladder.end(trial.number)
        self._count(trial.number, ended.user_attrs, state, values)
        self.observer.on_trial_end(trial.number, state_of(ended), outcome, self._named(values))

    def _count(
        self,
        number: int,
        attributes: Mapping[str, Any],
        state: TrialState,
        values: list[float] | None,
    ) -> None:
        """Remember an ended trial, unless it named no network or repeats another."""
        if "candidate_id" not in attributes or "duplicate_of" in attributes:
            return
        self.seen[attributes["candidate_id"]] = number
        self.outcomes[number] = (state, values)
        if self.waiting.pop(number, None) is None:  # one that waited was counted before
            stopped = RUNGS in attributes
            self.trained += stopped or state in (TrialState.COMPLETE, TrialState.FAIL)

    def _named(self, values: list[float] | None) -> dict[str, float] | None:
        return dict(zip(self.study.objectives, values, strict=True)) if values else None

    def _test_front(self) -> None:
        """Measure those front members on the test set that have not been, once each."""
        members = front_of(trials_of(self.folder, self.study, self.storage), self.study)
        todo = [
            (int(number), trial_folder(self.folder, int(number)))
            for number in members["number"]
            if not (trial_folder(self.folder, int(number)) / TEST_FILE).exists()
        ]
        if not todo:
            return
        test = self.data.read_test().to(self.device)
        for number, folder in todo:
            candidate = self.space.candidate(self.storage.trials[number].params)
            network = load_network(candidate, folder / BEST).to(self.device)
            score = accuracy(network, self.data, test)
            write_json(folder / TEST_FILE, {"test_accuracy": score, "images": len(test)})
            self.observer.on_test(number, score)

    def _confirm_front(self) -> None:
        """Train front members from further seeds, where the study asks for it."""
        if self.study.confirm is None:
            return
        members = front_of(trials_of(self.folder, self.study, self.storage), self.study)
        for number in map(int, members["number"]):
            candidate = self.space.candidate(self.storage.trials[number].params)
            for seed, validation, tested in confirm(
                candidate,
                self.study.recipe,
                self.data,
                trial_folder(self.folder, number),
                seeds=[
                    derive_seed(self.study.seed, "confirm", candidate.id, seed)
                    for seed in range(1, self.study.confirm.seeds + 1)
                ],
                device=self.device,
                teacher=self.teacher,
                should_stop=self.should_stop,
            ):
                self.observer.on_confirm(number, seed, validation, tested)


def _costs(price: Cost) -> dict[str, float]:
    """The costs by objective name."""
    return {
        name: float(getattr(price, objective.column))
        for name, objective in OBJECTIVES.items()
        if name != "accuracy"
    }


def _reason(error: Exception) -> str:
    text = str(error).splitlines()[0] if str(error) else type(error).__name__
    wanting = ("memory", "overflow")
    if isinstance(error, MemoryError) or any(word in text.lower() for word in wanting):
        return f"out of memory: {text}"
    return f"{type(error).__name__}: {text}"


def _check_data(storage: optuna.Study, data: ImageData, folder: Path) -> None:
    if storage.user_attrs.get("data", data.fingerprint) != data.fingerprint:
        raise RunError(
            f"{folder}: was run on other images than --data holds now; give it the same data"
        )
    storage.set_user_attr("data", data.fingerprint)
