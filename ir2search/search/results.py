"""What a run has found, as tables."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import moocore
import numpy as np
import optuna
import pandas as pd
from optuna.trial import FrozenTrial, TrialState

from ir2search.errors import RunError
from ir2search.files import read_json
from ir2search.search.folder import RESULT, SEEDS, TEST_FILE, saved_study, trial_folder
from ir2search.search.objectives import OBJECTIVES
from ir2search.search.storage import open_storage
from ir2search.search.study import Study
from ir2search.space import Candidate, read_candidate

RUNGS = "rungs"  # a trial's attribute: its accuracy after the epochs of each rung it reached
WHOLE = (  # columns of whole numbers, which a trial without a network lacks
    "duplicate_of", "flops", "bops", "parameters", "binary_parameters", "best_epoch",
    "depth", "fusion_channels", "fusion_group_size", "classes",
)  # fmt: skip
State = Literal["trained", "stopped", "failed", "turned down", "duplicate", "waiting", "unfinished"]
# towards the trials that a study asks for
COUNTED: tuple[State, ...] = ("trained", "stopped", "failed", "waiting")
STATES: dict[TrialState, State] = {
    TrialState.COMPLETE: "trained",
    TrialState.FAIL: "failed",
    TrialState.PRUNED: "turned down",
    TrialState.RUNNING: "unfinished",
    TrialState.WAITING: "unfinished",
}


@dataclass(frozen=True)
class RunStatus:
    """How far a run is.

    Attributes:
        name: of the study.
        folder: of the run.
        asked: how many candidates the study asks to train.
        counts: trials by state: trained, stopped at a rung for good, failed, turned down,
            duplicate, waiting at a rung, unfinished.
        front: the front so far, see `front`.
    """

    name: str
    folder: Path
    asked: int
    counts: dict[str, int]
    front: pd.DataFrame

    def as_dict(self) -> dict[str, Any]:
        """The status in values that JSON can hold."""
        return {
            "name": self.name,
            "folder": str(self.folder),
            "asked": self.asked,
            "counts": self.counts,
            "front": records(self.front),
        }


def records(table: pd.DataFrame) -> list[dict[str, Any]]:
    """A table's rows in values that JSON can hold, with None for what is missing."""
    rows: list[dict[str, Any]] = json.loads(table.to_json(orient="records", double_precision=15))
    return rows


def status(folder: str | Path) -> RunStatus:
    """How far the run in ``folder`` is.

    Raises:
        RunError: there is no run.
    """
    folder = Path(folder)
    study = saved_study(folder)
    table = trials_of(folder, study, open_storage(folder, study))
    states = table["state"].value_counts()
    counts = {name: int(states.get(name, 0)) for name in get_args(State)}
    return RunStatus(study.name, folder, study.trials, counts, front_of(table, study))


def trials(folder: str | Path) -> pd.DataFrame:
    """All trials of a run, one a row, in their numbers' order.

    Columns: ``number``, ``state``, ``outcome`` (why, in words), ``duplicate_of``,
    ``candidate_id``, ``accuracy`` (validation, from 0 to 1; so far, where it was stopped),
    ``test_accuracy`` (front members only), the costs, ``seconds``, ``best_epoch``, ``epochs``
    trained so far, ``seed_accuracies`` and ``seed_test_accuracies`` (lists, the trial's own first,
    then those of further seeds), and the candidate's fields.

    Raises:
        RunError: there is no run.
    """
    folder = Path(folder)
    study = saved_study(folder)
    return trials_of(folder, study, open_storage(folder, study))


def front(folder: str | Path) -> pd.DataFrame:
    """The trained candidates that no other one betters in all objectives, best accuracy first.

    Columns as in `trials`; indexed from 0. Of candidates with equal objectives the first counts.

    Raises:
        RunError: there is no run.
    """
    folder = Path(folder)
    return front_of(trials(folder), saved_study(folder))


def front_of(table: pd.DataFrame, study: Study) -> pd.DataFrame:
    """The front of a table of `trials`."""
    trained = table[table["state"] == "trained"]
    if len(trained):
        trained = trained[moocore.is_nondominated(minimised(trained, study))]
    return trained.sort_values("accuracy", ascending=False).reset_index(drop=True)


def minimised(table: pd.DataFrame, study: Study) -> np.ndarray:
    """The objectives by row, (rows, objectives) float64, each to be made small.

    Accuracy becomes the error, 1 - accuracy.
    """
    columns = [
        table[OBJECTIVES[name].column].to_numpy(dtype=np.float64, na_value=np.nan)
        for name in study.objectives
    ]
    return np.stack(
        [
            1 - column if name == "accuracy" else column
            for name, column in zip(study.objectives, columns, strict=True)
        ],
        axis=1,
    )


def trials_of(folder: Path, study: Study, storage: optuna.Study) -> pd.DataFrame:
    """As `trials`, of an open storage."""
    rows = [_row(trial, folder) for trial in storage.get_trials(deepcopy=False)]
    columns = [
        "number", "state", "outcome", "duplicate_of", "candidate_id", "accuracy", "test_accuracy",
        "ops", "flops", "bops", "memory_bytes", "parameters", "binary_parameters",
        "seconds", "best_epoch", "epochs", "seed_accuracies", "seed_test_accuracies",
        *(name for name in Candidate().as_dict() if name != "image"), "image",
    ]  # fmt: skip
    return pd.DataFrame(rows, columns=columns).astype(dict.fromkeys(WHOLE, "Int64"))


def trial_candidate(folder: str | Path, number: int) -> Candidate:
    """The candidate of a trial.

    Raises:
        RunError: there is no such trial, or it was never trained.
    """
    return read_candidate(trial_folder(Path(folder), number) / "candidate.json")


def pick_trial(folder: Path, which: str) -> int:
    """The number of a trained trial by ``"best"`` (accuracy), ``"knee"`` or its number.

    Raises:
        RunError: nothing was trained yet, or not that one.
    """
    study = saved_study(folder)
    table = trials(folder)
    trained = table[table["state"] == "trained"]
    if trained.empty:
        raise RunError(f"{folder}: no trial has finished training yet; run the study first")
    picks: dict[str, Callable[[], int]] = {
        "best": lambda: int(front_of(table, study)["number"].iloc[0]),
        "knee": lambda: int(
            front_of(table, study)["number"].iloc[knee(front_of(table, study), study)]
        ),
    }
    if which in picks:
        return picks[which]()
    if which.isdigit() and int(which) in set(trained["number"]):
        return int(which)
    known = ", ".join(str(number) for number in trained["number"])
    raise RunError(f"{folder}: no trained trial {which!r}; give best, knee, or one of {known}")


def knee(members: pd.DataFrame, study: Study) -> int:
    """Position in a front of its knee: the member farthest below the plane of the extremes.

    With each objective scaled to [0, 1] over the front, the least sum (Das, "On characterizing
    the 'knee' of the Pareto curve", Structural Optimization 1999).
    """
    values = minimised(members, study)
    spread = np.ptp(values, axis=0)
    scaled = (values - values.min(axis=0)) / np.where(spread > 0, spread, 1)
    return int(scaled.sum(axis=1).argmin())


def _row(trial: FrozenTrial, folder: Path) -> dict[str, Any]:
    attributes = trial.user_attrs
    own = trial_folder(folder, trial.number)
    row: dict[str, Any] = {
        "number": trial.number,
        "state": state_of(trial),
        "epochs": _epochs(own / "curve.jsonl"),
    }
    names = ("outcome", "duplicate_of", "candidate_id", "accuracy", "seconds", "best_epoch")
    row |= {name: attributes.get(name) for name in names}
    row |= attributes.get("cost", {})
    row |= attributes.get("candidate", {})
    if (own / TEST_FILE).exists():
        row["test_accuracy"] = read_json(own / TEST_FILE)["test_accuracy"]
    return row | _seeds(own, row.get("accuracy"), row.get("test_accuracy"))


def _seeds(folder: Path, accuracy: float | None, tested: float | None) -> dict[str, Any]:
    """What a trial gave from all its seeds."""
    files = sorted((folder / SEEDS).glob(f"*/{RESULT}"), key=lambda file: int(file.parent.name))
    results = [{"accuracy": accuracy, "test_accuracy": tested}, *map(read_json, files)]
    found = {
        name: [result[name] for result in results if result[name] is not None]
        for name in ("accuracy", "test_accuracy")
    }
    return {"seed_accuracies": found["accuracy"], "seed_test_accuracies": found["test_accuracy"]}


def state_of(trial: FrozenTrial) -> State:
    """How a trial stands, in this package's words."""
    if "duplicate_of" in trial.user_attrs and trial.state.is_finished():
        return "duplicate"
    if RUNGS in trial.user_attrs and trial.state in (TrialState.PRUNED, TrialState.RUNNING):
        return "stopped" if trial.state == TrialState.PRUNED else "waiting"
    return STATES[trial.state]


def _epochs(file: Path) -> int:
    return len(file.read_text().splitlines()) if file.exists() else 0
