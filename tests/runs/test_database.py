from __future__ import annotations

import math
from pathlib import Path

import optuna
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.storages import RDBStorage
from optuna.trial import TrialState, create_trial

from ir2search.runs.database import Database


@pytest.fixture
def url(tmp_path: Path) -> str:
    """A database with two studies, whose trials have all that a trial can have."""
    url = f"sqlite:///{tmp_path}/a.db"
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    for name in ("one", "two"):
        study = optuna.create_study(
            storage=RDBStorage(url), study_name=name, directions=["maximize", "minimize"]
        )
        for number in range(4):
            study.add_trial(
                create_trial(
                    params={"a": number, "b": 0.5, "c": ["x", None][number % 2]},
                    distributions={
                        "a": IntDistribution(0, 4),
                        "b": FloatDistribution(0.1, 1, log=True),
                        "c": CategoricalDistribution(["x", None]),
                    },
                    values=[number / 3, math.inf],
                    user_attrs={"z": [1, {"k": name}], "y": "é"},
                    system_attrs={"s": number},
                )
            )
        study.add_trial(
            create_trial(state=TrialState.PRUNED, intermediate_values={3: 0.25, 1: -math.inf})
        )
        study.add_trial(create_trial(state=TrialState.FAIL))
        study.enqueue_trial({"a": 1})
        study.ask()
        study.ask({"b": FloatDistribution(0.1, 1, log=True)}).set_user_attr("later", True)
        study._storage.remove_session()
    return url


@pytest.mark.parametrize("name", ["one", "two"])
def test_trials_are_those_that_optuna_reads(url: str, name: str) -> None:
    theirs, ours = RDBStorage(url), Database(url)
    study = theirs.get_study_id_from_name(name)
    expected = theirs.get_all_trials(study)
    found = ours.get_all_trials(study)
    assert found == expected
    assert [list(trial.params) for trial in found] == [list(trial.params) for trial in expected]
    last = expected[-3]._trial_id
    again = {expected[0]._trial_id, expected[2]._trial_id}
    states = (TrialState.COMPLETE, TrialState.RUNNING)
    assert ours._get_trials(study, states, again, last) == theirs._get_trials(
        study, states, again, last
    )
    assert ours._get_trials(study, None, set(), last) == expected[-2:]
    for storage in (theirs, ours):
        storage.remove_session()
        storage.engine.dispose()


@pytest.mark.parametrize("name", ["one", "two"])
def test_outlines_say_what_trials_say(url: str, name: str) -> None:
    ours = Database(url)
    study = ours.get_study_id_from_name(name)
    expected = [
        (trial._trial_id, trial.state, trial.values or [], trial.user_attrs.keys() & {"z", "later"})
        for trial in ours.get_all_trials(study)
    ]
    found = ours.outlines(study, ("z", "later"))
    assert [(o.trial_id, o.state, o.values, o.attributes) for o in found] == expected
    ours.remove_session()
    ours.engine.dispose()


def test_a_cached_storage_on_it_follows_what_others_write(url: str) -> None:
    ours = optuna.storages.get_storage(Database(url))
    reader = optuna.load_study(storage=ours, study_name="one")
    writer = optuna.load_study(storage=url, study_name="one")
    running = next(t for t in reader.get_trials() if t.state == TrialState.RUNNING)
    writer.tell(running.number, [0.5, 1.0])
    writer.add_trial(create_trial(values=[0.1, 2.0]))
    assert reader.get_trials() == writer.get_trials()
    for storage in (ours, writer._storage):
        storage.remove_session()
        storage._backend.engine.dispose()  # type: ignore[attr-defined]
