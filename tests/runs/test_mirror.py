from __future__ import annotations

from pathlib import Path

import optuna
import pytest
from optuna.distributions import FloatDistribution
from optuna.storages import RDBStorage, get_storage
from optuna.trial import TrialState

from ir2search.runs.mirror import Mirror

SPACE = {"x": FloatDistribution(0, 1), "y": FloatDistribution(0, 1)}


def search(study: optuna.Study, trials: int) -> None:
    """Trials of every kind, by a sampler that keeps what it learned in the storage."""
    for number in range(trials):
        study.sampler = optuna.samplers.NSGAIISampler(population_size=6, seed=number)
        trial = study.ask(SPACE)
        trial.set_user_attr("number", number)
        x, y = trial.params["x"], trial.params["y"]
        if number % 7 == 3:
            continue  # left running
        if number % 7 == 5:
            study.tell(trial, state=TrialState.FAIL)
            study.enqueue_trial({"x": 0.5, "y": number / 1000})
        else:
            study.tell(trial, [x, (1 - x) * y])


def test_what_a_mirror_shows_is_what_its_storage_keeps(tmp_path: Path) -> None:
    kept = get_storage(RDBStorage(f"sqlite:///{tmp_path}/a.db"))
    plain = optuna.create_study(study_name="a", directions=["minimize"] * 2)
    study = optuna.create_study(study_name="a", storage=kept, directions=["minimize"] * 2)
    study.set_user_attr("before", 1)
    for trials in (20, 30):  # the second time from what the first one kept
        mirrored = optuna.load_study(study_name="a", storage=Mirror(kept, "a"))
        search(mirrored, trials)
        search(plain, trials)
        assert len(mirrored.trials) == len(plain.trials)
        for one, other, there in zip(mirrored.trials, plain.trials, study.trials, strict=True):
            assert one.params == other.params == there.params
            assert one.state == other.state == there.state
            assert one.values == other.values == there.values
            assert one.user_attrs == other.user_attrs == there.user_attrs
            assert one.system_attrs == there.system_attrs
            assert one.number == there.number
        assert mirrored.user_attrs == study.user_attrs
        assert [t.number for t in mirrored.best_trials] == [t.number for t in study.best_trials]


def test_what_the_storage_refuses_is_not_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = get_storage(RDBStorage(f"sqlite:///{tmp_path}/a.db"))
    optuna.create_study(study_name="a", storage=kept, directions=["minimize"] * 2)
    mirrored = optuna.load_study(study_name="a", storage=Mirror(kept, "a"))
    trial = mirrored.ask(SPACE)

    def full(*_: object) -> None:
        raise OSError("no space left")

    monkeypatch.setattr(kept, "set_trial_state_values", full)
    with pytest.raises(OSError, match="no space left"):
        mirrored.tell(trial, [0.0, 1.0])
    assert mirrored.trials[0].state == TrialState.RUNNING
