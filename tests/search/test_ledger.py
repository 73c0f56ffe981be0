from __future__ import annotations

from typing import Any

import optuna
import pytest
from optuna.trial import FrozenTrial, TrialState

from ir2search.search.ledger import Ledger
from ir2search.search.problem import PricedCandidate
from ir2search.search.samplers.base import distributions
from ir2search.study.loading import parse_study
from ir2search.study.schema import Study

COSTS = {"ops": 1e5}


@pytest.fixture
def study(quick: dict[str, Any]) -> Study:
    """Two objectives, and rungs at 1, 2 and 4 epochs."""
    quick["recipe"]["epochs"] = 4
    space = {"depth": 8, "width": [0.125, 0.25, 0.5], "threshold": [0.0, 0.9]}
    rungs = {"minimum": 1, "factor": 2}
    study = parse_study({**quick, "space": space, "rungs": rungs}, "a.toml")
    return study.model_copy(update={"space": study.space.with_data((1, 8, 8), 10)})


def stored(study: Study, number: int, width: float, state: TrialState, **found: Any) -> FrozenTrial:
    """A trial as the storage has it; ``found`` are its user attributes."""
    parameters = {"width": width, "threshold": 0.0}
    trial = optuna.trial.create_trial(
        state=state,
        params=parameters,
        distributions=distributions(study.space),
        user_attrs={"candidate_id": study.space.candidate(parameters).id, "cost": COSTS, **found},
        values=[found["accuracy"], COSTS["ops"]] if state == TrialState.COMPLETE else None,
    )
    trial.number = number
    return trial


def test_results_of_stored_trials_are_read_once(study: Study) -> None:
    ledger = Ledger(study, study.space)
    waiting = stored(study, 0, 0.125, TrialState.RUNNING, rungs={"1": 0.5, "2": 0.6})
    first = ledger.read(waiting)
    assert [(result.number, result.level) for result in first] == [(0, 0), (0, 1)]
    assert first[0].values == (0.5, 1e5), "the error, and the operations"
    assert ledger.read(waiting) == []
    assert ledger.progress.waiting() == [0]
    assert ledger.started == {0}
    assert ledger.epochs_spent == 2


def test_a_complete_trial_has_a_result_at_its_end(study: Study) -> None:
    ledger = Ledger(study, study.space)
    done = stored(
        study, 3, 0.25, TrialState.COMPLETE, rungs={"1": 0.5, "2": 0.6, "4": 0.7}, accuracy=0.7
    )
    assert [result.level for result in ledger.read(done)] == [0, 1, 2]
    assert ledger.progress.finished() == [(3, (pytest.approx(0.3), 1e5))]
    assert ledger.outcomes[3] == (TrialState.COMPLETE, [0.7, 1e5])
    assert ledger.ended() == [{"accuracy": 0.7, "ops": 1e5}]


def test_a_duplicate_does_not_count(study: Study) -> None:
    ledger = Ledger(study, study.space)
    ledger.read(stored(study, 0, 0.125, TrialState.FAIL))
    ledger.read(stored(study, 1, 0.125, TrialState.FAIL, duplicate_of=0))
    assert ledger.started == {0}
    assert set(ledger.trial_of.values()) == {0}
    assert ledger.ended() == [None]


def test_a_candidate_that_was_not_trained_stands_for_itself_but_does_not_count(
    study: Study,
) -> None:
    ledger = Ledger(study, study.space)
    ledger.read(stored(study, 0, 0.5, TrialState.PRUNED, outcome="over budget: ops 2 > 1"))
    assert set(ledger.trial_of.values()) == {0}
    assert ledger.started == set()


def test_proposals_since_the_latest_training_are_counted(study: Study) -> None:
    ledger = Ledger(study, study.space)
    trials = [
        stored(study, 0, 0.125, TrialState.FAIL),
        stored(study, 1, 0.125, TrialState.FAIL, duplicate_of=0),
        stored(study, 2, 0.5, TrialState.PRUNED),
    ]
    for trial in trials:
        ledger.read(trial)
    ledger.count(trials)
    assert ledger.proposed == 3
    assert ledger.untrained == 2
    ledger.start(3, "another")
    assert ledger.untrained == 0


def test_a_shared_backbone_is_counted_once(quick: dict[str, Any]) -> None:
    warm = parse_study({**quick, "warm_start": {"epochs": 5}}, "a.toml")
    space = warm.space.with_data((1, 8, 8), 10)
    ledger = Ledger(warm, space)
    points = list(space.grid())[:3]
    backbones = set()
    for number, point in enumerate(points):
        candidate = space.candidate(point)
        backbones.add(candidate.backbone_only().id)
        ledger.reach(number, 0, PricedCandidate(point, candidate, COSTS), 0.5, number)
    assert ledger.epochs_spent == 3 * warm.recipe.epochs + 5 * len(backbones)
