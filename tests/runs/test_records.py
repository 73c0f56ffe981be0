from __future__ import annotations

from typing import Any

import optuna
import pytest
from optuna.trial import TrialState, create_trial

from ir2search.errors import RunError
from ir2search.runs.records import (
    TrialAttributes,
    read_attributes,
    state_of,
    trial_record,
    trial_records,
    write_attributes,
)
from ir2search.study.loading import parse_study


def test_written_attributes_are_read_back() -> None:
    study = optuna.create_study()
    trial = study.ask()
    write_attributes(trial, TrialAttributes(candidate_id="abc", rungs={1: 0.5}, driver="one"))
    write_attributes(trial, TrialAttributes(accuracy=0.5, driver=""))
    assert read_attributes(trial) == TrialAttributes(
        candidate_id="abc", rungs={1: 0.5}, accuracy=0.5, driver=""
    )
    (frozen,) = study.get_trials()
    assert trial_record(frozen).state == "waiting"


def test_records_of_an_older_version_are_read() -> None:
    attributes = {"rungs": {"1": 0.25, "3": 0.5}, "cost": {"ops": 5}, "something": "else"}
    trial = create_trial(state=TrialState.PRUNED, user_attrs=attributes)
    record = trial_record(trial)
    assert record.attributes.rungs == {1: 0.25, 3: 0.5}
    assert record.attributes.cost == {"ops": 5}
    assert record.state == "stopped"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("accuracy", "high"),
        ("accuracy", float("nan")),
        ("accuracy", 1.5),
        ("seconds", -1.0),
        ("best_epoch", 10**400),
        ("rungs", [1]),
        ("rungs", {1: 97.5}),
        ("cost", 7),
        ("cost", {"ops": float("nan")}),
        ("cost", {"ops": "many"}),
        ("cost", {"ops": 10**400}),
        ("cost", {"flops": 0.5}),
        ("cost", {"flops": 2**63}),
        ("candidate", {"depth": "8"}),
        ("candidate", {"width": float("inf")}),
    ],
)
def test_a_damaged_record_is_named(name: str, value: object) -> None:
    trial = create_trial(state=TrialState.RUNNING, user_attrs={name: value})
    with pytest.raises(RunError, match=rf"trial .*: {name}.* is damaged in the run's storage"):
        trial_record(trial)


@pytest.mark.parametrize(
    ("attributes", "missing"),
    [
        ({"cost": {"ops": 5}}, "accuracy"),
        ({"accuracy": 0.5}, "ops"),
        ({"accuracy": 0.5, "cost": {"flops": 5}}, "ops"),
    ],
)
def test_a_trained_trial_has_its_objectives(
    quick: dict[str, Any], attributes: dict[str, Any], missing: str
) -> None:
    study = parse_study(quick, "quick.toml")
    trial = create_trial(values=[0.5, 5.0], user_attrs=attributes)
    with pytest.raises(RunError, match=f"is trained, but has no {missing} in the run's storage"):
        trial_records([trial], study)


def test_states_in_words() -> None:
    nothing, repeated = TrialAttributes(), TrialAttributes(duplicate_of=0)
    assert state_of(TrialState.COMPLETE, nothing) == "trained"
    assert state_of(TrialState.COMPLETE, repeated) == "duplicate"
    assert state_of(TrialState.RUNNING, repeated) == "unfinished"
    assert state_of(TrialState.PRUNED, nothing) == "turned down"
    assert state_of(TrialState.PRUNED, TrialAttributes(rungs={1: 0.5})) == "stopped"
