from __future__ import annotations

import optuna
import pytest
from optuna.trial import TrialState, create_trial

from ir2search.errors import RunError
from ir2search.runs.records import Recorded, read_record, state_of, trial_record, write_record


def test_what_is_written_is_read() -> None:
    study = optuna.create_study()
    trial = study.ask()
    write_record(trial, Recorded(candidate_id="abc", rungs={1: 0.5}, driver="one"))
    write_record(trial, Recorded(accuracy=0.5, driver=""))
    assert read_record(trial) == Recorded(
        candidate_id="abc", rungs={1: 0.5}, accuracy=0.5, driver=""
    )
    (frozen,) = study.get_trials()
    assert trial_record(frozen).state == "waiting"


def test_records_of_an_older_version_are_read() -> None:
    attributes = {"rungs": {"1": 0.25, "3": 0.5}, "cost": {"ops": 5}, "something": "else"}
    trial = create_trial(state=TrialState.PRUNED, user_attrs=attributes)
    record = trial_record(trial)
    assert record.recorded.rungs == {1: 0.25, 3: 0.5}
    assert record.recorded.cost == {"ops": 5}
    assert record.state == "stopped"


@pytest.mark.parametrize(
    ("name", "value"),
    [("accuracy", "high"), ("rungs", [1]), ("cost", 7), ("accuracy", float("nan"))],
)
def test_a_damaged_record_is_named(name: str, value: object) -> None:
    trial = create_trial(state=TrialState.RUNNING, user_attrs={name: value})
    with pytest.raises(RunError, match=rf"trial .*: {name}.* is damaged in the run's storage"):
        trial_record(trial)


def test_states_in_words() -> None:
    nothing, repeated = Recorded(), Recorded(duplicate_of=0)
    assert state_of(TrialState.COMPLETE, nothing) == "trained"
    assert state_of(TrialState.COMPLETE, repeated) == "duplicate"
    assert state_of(TrialState.RUNNING, repeated) == "unfinished"
    assert state_of(TrialState.PRUNED, nothing) == "turned down"
    assert state_of(TrialState.PRUNED, Recorded(rungs={1: 0.5})) == "stopped"
