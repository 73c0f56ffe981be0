"""The record of a trial: one schema for everything that reads or writes it.

Optuna keeps a trial's number, state, parameters and values. Everything else that this package
records is in the trial's user attributes, which are named like the fields of `TrialAttributes`.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Annotated, Any, Literal

import optuna
from optuna.trial import FrozenTrial, TrialState
from pydantic import AfterValidator, ConfigDict, Field, TypeAdapter, ValidationError, create_model
from pydantic.dataclasses import dataclass as validated

from ir2search.errors import RunError
from ir2search.files import encodable
from ir2search.space import candidate_types
from ir2search.study.objectives import OBJECTIVES
from ir2search.study.schema import Study
from ir2search.validation import Share, rule_of

State = Literal["trained", "stopped", "failed", "turned down", "duplicate", "waiting", "unfinished"]
How = Literal["inherited", "fine-tuned", "trained"]  # from the lowest accuracy to the highest
# these count towards the number of trials that a study asks for
COUNTED: tuple[State, ...] = ("trained", "stopped", "failed", "waiting")
WHOLE_COSTS = ("flops", "bops", "parameters", "binary_parameters")
STATES: dict[TrialState, State] = {
    TrialState.COMPLETE: "trained",
    TrialState.FAIL: "failed",
    TrialState.PRUNED: "turned down",
    TrialState.RUNNING: "unfinished",
    TrialState.WAITING: "unfinished",
}

Whole = Annotated[int, Field(ge=0, lt=2**63)]
_fields: dict[str, Any] = {name: (hint | None, None) for name, hint in candidate_types().items()}
CandidateFields = create_model(
    "CandidateFields",
    __config__=ConfigDict(extra="ignore", strict=True, allow_inf_nan=False),
    **_fields,
)


def _checked_candidate(values: dict[str, Any]) -> dict[str, Any]:
    CandidateFields.model_validate_json(json.dumps(values))
    return values


def _checked_costs(values: dict[str, Any]) -> dict[str, Any]:
    for name, value in values.items():
        if name == "others":  # operations by kind
            continue
        if not isinstance(value, int | float) or not abs(value) <= sys.float_info.max:
            raise ValueError(f"{name} must be a finite number")
        if name in WHOLE_COSTS and not (float(value).is_integer() and 0 <= value < 2**63):
            raise ValueError(f"{name} must be a whole number")
    return values


@validated(frozen=True, kw_only=True, config=ConfigDict(extra="ignore", allow_inf_nan=False))
class TrialAttributes:
    """A trial's user attributes; None for what is not known.

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
        order: position of its latest training among the trainings of the run, from 0.
        rung_orders: the position of the training that reached each rung, by the rung's epochs.
        how: how the network of the accuracy got its weights, in a study with a supernet:
            ``"inherited"``, ``"fine-tuned"`` from inherited ones, or ``"trained"`` by itself; the
            storage has ``"inherited"`` only, see `ir2search.runs.members`.
        inherited_accuracy: the accuracy that the search saw, in a study with a supernet; not in
            the storage.
        retry_of: the number of the failed trial whose network this one trains again.
    """

    candidate_id: str | None = None
    candidate: Annotated[dict[str, Any], AfterValidator(_checked_candidate)] | None = None
    cost: Annotated[dict[str, Any], AfterValidator(_checked_costs)] | None = None
    duplicate_of: Whole | None = None
    rungs: dict[Whole, Share] | None = None
    accuracy: Share | None = None
    best_epoch: Whole | None = None
    seconds: Annotated[float, Field(ge=0)] | None = None
    outcome: str | None = None
    driver: str | None = None
    target_epochs: Whole | None = None
    order: Whole | None = None
    rung_orders: dict[Whole, Whole] | None = None
    how: How | None = None
    inherited_accuracy: Share | None = None
    retry_of: Whole | None = None


@dataclass(frozen=True)
class TrialRecord:
    """One trial of a run, as the storage has it.

    Attributes:
        number: from 0.
        state: in this package's words.
        parameters: values of the searched parameters by name.
        values: of the objectives in the study's order; None for a trial that did not finish.
        attributes: its user attributes.
    """

    number: int
    state: State
    parameters: Mapping[str, Any]
    values: tuple[float, ...] | None
    attributes: TrialAttributes


_attributes = TypeAdapter(TrialAttributes)


def read_attributes(trial: FrozenTrial | optuna.Trial) -> TrialAttributes:
    """The user attributes of a trial.

    Raises:
        RunError: an attribute has a wrong type; the message names the trial and the attribute.
    """
    try:
        return _attributes.validate_python(trial.user_attrs)
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(map(str, first["loc"]))
        raise RunError(
            f"trial {trial.number}: {name} is damaged in the run's storage ({rule_of(first)}); "
            "put the storage back as it was"
        ) from None


def write_attributes(trial: optuna.Trial, recorded: TrialAttributes) -> None:
    """Write the fields that are not None; the others stay as they are."""
    for field in fields(TrialAttributes):
        value = getattr(recorded, field.name)
        if value is not None:
            trial.set_user_attr(field.name, _encodable(value))


def _encodable(value: Any) -> Any:
    """A value that a database can encode, see `files.encodable`."""
    if isinstance(value, dict):
        return {_encodable(key): _encodable(each) for key, each in value.items()}
    return encodable(value) if isinstance(value, str) else value


def trial_record(trial: FrozenTrial) -> TrialRecord:
    """Read a trial of the storage.

    Raises:
        RunError: an attribute has a wrong type.
    """
    recorded = read_attributes(trial)
    values = None if trial.values is None else tuple(trial.values)
    state = state_of(trial.state, recorded)
    return TrialRecord(trial.number, state, trial.params, values, recorded)


def trial_records(trials: Sequence[FrozenTrial], study: Study) -> list[TrialRecord]:
    """Read all trials of a study, see `trial_record`.

    A failed trial that another trial trains again becomes a duplicate of that trial.

    Raises:
        RunError: an attribute has a wrong type, or a trained trial lacks an objective. It would be
            NaN in tables, and comparisons with NaN are always false.
    """
    again, records = retries(trials), []
    for trial in trials:
        record = trial_record(trial)
        if trial.number in again:
            attributes = replace(record.attributes, duplicate_of=again[trial.number])
            record = replace(record, state="duplicate", attributes=attributes)
        _check_complete(record, study)
        records.append(record)
    return records


def _check_complete(record: TrialRecord, study: Study) -> None:
    if record.state != "trained":
        return
    known = {**(record.attributes.cost or {}), "accuracy": record.attributes.accuracy}
    for name in ("accuracy", *(OBJECTIVES[each].column for each in study.objectives)):
        if known.get(name) is None:
            raise RunError(
                f"trial {record.number}: is trained, but has no {name} in the run's storage; put "
                "the storage back as it was"
            )


def retries(trials: Iterable[FrozenTrial]) -> dict[int, int]:
    """Failed trials that are trained again, and the trials that do so: numbers by number."""
    asked = [trial for trial in trials if "retry_of" in trial.user_attrs]
    found = ((read_attributes(trial).retry_of, trial.number) for trial in asked)
    return {failed: number for failed, number in found if failed is not None}


def state_of(state: TrialState, recorded: TrialAttributes) -> State:
    """The state of a trial in this package's words, from Optuna's state and the record."""
    if state == TrialState.FAIL and recorded.candidate_id is None:
        return "turned down"  # its driver was killed before all its parameters were stored
    if recorded.duplicate_of is not None and state.is_finished():
        return "duplicate"
    if recorded.rungs is not None and state in (TrialState.PRUNED, TrialState.RUNNING):
        return "stopped" if state == TrialState.PRUNED else "waiting"
    return STATES[state]
