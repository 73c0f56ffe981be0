"""The record of a trial: one schema for everything that reads or writes it.

Optuna keeps a trial's number, state, parameters and values. Everything else that this package
records is in the trial's user attributes, which are named like the fields of `Recorded`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, Literal

import optuna
from optuna.trial import FrozenTrial, TrialState
from pydantic import ConfigDict, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass as validated

from ir2search import escape
from ir2search.errors import RunError

State = Literal["trained", "stopped", "failed", "turned down", "duplicate", "waiting", "unfinished"]
# these count towards the number of trials that a study asks for
COUNTED: tuple[State, ...] = ("trained", "stopped", "failed", "waiting")
STATES: dict[TrialState, State] = {
    TrialState.COMPLETE: "trained",
    TrialState.FAIL: "failed",
    TrialState.PRUNED: "turned down",
    TrialState.RUNNING: "unfinished",
    TrialState.WAITING: "unfinished",
}


@validated(frozen=True, kw_only=True, config=ConfigDict(extra="ignore", allow_inf_nan=False))
class Recorded:
    """A trial's user attributes; None for what is not known (yet).

    Attributes:
        candidate_id: id of the network.
        candidate: fields of the network by name.
        cost: its costs by column, see `ir2search.study.objectives.costs_of`.
        duplicate_of: the number of the trial that has the same network.
        rungs: the best validation accuracy so far, by the epochs of each rung it reached.
        accuracy: best validation accuracy, from 0 to 1.
        best_epoch: the epoch of that accuracy, from 1.
        seconds: duration of the training.
        outcome: how the trial ended, in words.
        driver: name of the driver that works on the trial; empty for none.
        target_epochs: epochs of the rung to which its training was last started.
        retry_of: the number of the failed trial whose network this one trains again.
    """

    candidate_id: str | None = None
    candidate: dict[str, Any] | None = None
    cost: dict[str, Any] | None = None
    duplicate_of: int | None = None
    rungs: dict[int, float] | None = None
    accuracy: float | None = None
    best_epoch: int | None = None
    seconds: float | None = None
    outcome: str | None = None
    driver: str | None = None
    target_epochs: int | None = None
    retry_of: int | None = None


@dataclass(frozen=True)
class TrialRecord:
    """One trial of a run, as the storage has it.

    Attributes:
        number: from 0.
        state: in this package's words.
        parameters: values of the searched parameters by name.
        values: of the objectives in the study's order; None for a trial that did not finish.
        recorded: its user attributes.
    """

    number: int
    state: State
    parameters: Mapping[str, Any]
    values: tuple[float, ...] | None
    recorded: Recorded


_recorded = TypeAdapter(Recorded)


def read_record(trial: FrozenTrial | optuna.Trial) -> Recorded:
    """The user attributes of a trial.

    Raises:
        RunError: an attribute has a wrong type; the message names the trial and the attribute.
    """
    try:
        return _recorded.validate_python(trial.user_attrs)
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(map(str, first["loc"]))
        raise RunError(
            f"trial {trial.number}: {name} is damaged in the run's storage ({first['type']}); "
            "put the storage back as it was"
        ) from None


def costs_of_record(recorded: Recorded) -> dict[str, Any]:
    """The costs of a trial whose training was started."""
    assert recorded.cost is not None, "costs are recorded before the training"
    return recorded.cost


def write_record(trial: optuna.Trial, recorded: Recorded) -> None:
    """Write the fields that are not None; the others stay as they are."""
    for field in fields(Recorded):
        value = getattr(recorded, field.name)
        if value is not None:
            trial.set_user_attr(field.name, _encodable(value))


def _encodable(value: Any) -> Any:
    """A value that a database can encode, see `escape.encodable`."""
    if isinstance(value, dict):
        return {_encodable(key): _encodable(each) for key, each in value.items()}
    return escape.encodable(value) if isinstance(value, str) else value


def trial_record(trial: FrozenTrial) -> TrialRecord:
    """Read a trial of the storage.

    Raises:
        RunError: an attribute has a wrong type.
    """
    recorded = read_record(trial)
    values = None if trial.values is None else tuple(trial.values)
    state = state_of(trial.state, recorded)
    return TrialRecord(trial.number, state, trial.params, values, recorded)


def trial_records(trials: Sequence[FrozenTrial]) -> list[TrialRecord]:
    """Read all trials of a study, see `trial_record`.

    A failed trial that another one trains again is a duplicate of that one.
    """
    again, records = retries(trials), []
    for trial in trials:
        record = trial_record(trial)
        if trial.number in again:
            recorded = replace(record.recorded, duplicate_of=again[trial.number])
            record = replace(record, state="duplicate", recorded=recorded)
        records.append(record)
    return records


def retries(trials: Iterable[FrozenTrial]) -> dict[int, int]:
    """By the number of each failed trial that is trained again: the trial that does so."""
    asked = [trial for trial in trials if "retry_of" in trial.user_attrs]
    found = ((read_record(trial).retry_of, trial.number) for trial in asked)
    return {failed: number for failed, number in found if failed is not None}


def state_of(state: TrialState, recorded: Recorded) -> State:
    """The state of a trial in this package's words, from Optuna's state and the record."""
    if state == TrialState.FAIL and recorded.candidate_id is None:
        return "turned down"  # its driver was killed before all its parameters were stored
    if recorded.duplicate_of is not None and state.is_finished():
        return "duplicate"
    if recorded.rungs is not None and state in (TrialState.PRUNED, TrialState.RUNNING):
        return "stopped" if state == TrialState.PRUNED else "waiting"
    return STATES[state]
