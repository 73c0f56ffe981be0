"""What a run has found, as tables."""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Callable, Container, Iterable, Iterator
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
from ir2search.runs.database import Outline
from ir2search.runs.layout import CURVE, RESULT, SEEDS, TEST_FILE, trial_folder
from ir2search.runs.saved import saved_study
from ir2search.runs.storage import open_storage, outlines
from ir2search.space import Candidate, read_candidate
from ir2search.study.objectives import OBJECTIVES, own_columns
from ir2search.study.schema import Study

RUNGS = "rungs"  # a trial's attribute: its accuracy after the epochs of each rung it reached
MARKS = (RUNGS, "duplicate_of")  # attributes that tell how a trial stands
COLUMNS = (  # of the table of trials
    "number", "state", "outcome", "duplicate_of", "candidate_id", "accuracy", "test_accuracy",
    "ops", "flops", "bops", "memory_bytes", "parameters", "binary_parameters",
    "seconds", "best_epoch", "epochs", "seed_accuracies", "seed_test_accuracies",
    *(name for name in Candidate().as_dict() if name != "image"), "image",
)  # fmt: skip
FILED = ("test_accuracy", "epochs", "seed_accuracies", "seed_test_accuracies")  # from its files
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

    @property
    def has_ended(self) -> bool:
        """Whether all candidates that were asked for are trained, and the front is tested."""
        begun = sum(self.counts[state] for state in COUNTED)
        going = self.counts["waiting"] + self.counts["unfinished"]
        tested = self.front["test_accuracy"].notna().all()
        return begun >= self.asked and not going and bool(tested)

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
    storage = open_storage(folder, study)
    known = outlines(storage, MARKS)
    states = [state_of(trial.state, trial.attributes) for trial in known]
    trained = [trial for trial, state in zip(known, states, strict=True) if state == "trained"]
    members = [storage._storage.get_trial(trial.trial_id) for trial in _best(trained, study)]
    front = with_files(front_of(table_of(members, study), study), folder)
    counts = {name: states.count(name) for name in get_args(State)}
    return RunStatus(study.name, folder, study.trials, counts, front)


def _best(trained: list[Outline], study: Study) -> list[Outline]:
    """Those that no other betters: only they have to be read in full."""
    if not trained:
        return []
    values = np.array([trial.values for trial in trained])
    errors = np.array([name == "accuracy" for name in study.objectives])
    kept = moocore.is_nondominated(np.where(errors, 1 - values, values))
    return [trial for trial, keep in zip(trained, kept, strict=True) if keep]


def watch(folder: str | Path, pause: float = 1.0) -> Iterator[RunStatus]:
    """The status of a run, at first and whenever it has changed, until the run has ended.

    Args:
        folder: the run's.
        pause: seconds between looks, at least; longer where a look takes long.

    Raises:
        RunError: there is no run.
    """
    shown: dict[str, Any] | None = None
    while True:
        began = time.monotonic()
        now = status(folder)
        if now.as_dict() != shown:
            shown = now.as_dict()
            yield now
        if now.has_ended:
            return
        time.sleep(max(pause, 4 * (time.monotonic() - began)))


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
    return with_files(recorded(open_storage(folder, study), study), folder)


def front(folder: str | Path) -> pd.DataFrame:
    """The trained candidates that no other one betters in all objectives, best accuracy first.

    Columns as in `trials`; indexed from 0. Of candidates with equal objectives the first counts.

    Raises:
        RunError: there is no run.
    """
    return status(folder).front


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


def recorded(storage: optuna.Study, study: Study) -> pd.DataFrame:
    """What the storage knows of all trials; see `with_files`."""
    return table_of(storage.get_trials(deepcopy=False), study)


def table_of(trials: Iterable[FrozenTrial], study: Study) -> pd.DataFrame:
    """What trials say of themselves, one a row; see `with_files`."""
    rows = [_row(trial) for trial in trials]
    known = [*(name for name in COLUMNS if name not in FILED), *own_columns(study.costs)]
    return pd.DataFrame(rows, columns=known).astype(dict.fromkeys(WHOLE, "Int64"))


def with_files(table: pd.DataFrame, folder: Path) -> pd.DataFrame:
    """Rows of `recorded` with what trials' files add to them, as `trials` gives them."""
    pairs = zip(table["number"], table["accuracy"], strict=True)
    rows = [_filed(trial_folder(folder, number), accuracy) for number, accuracy in pairs]
    filed = pd.DataFrame(rows, columns=list(FILED), index=table.index)
    filed = filed.astype({"test_accuracy": "float64", "epochs": "int64"})
    own = [name for name in table.columns if name not in COLUMNS]
    return table.join(filed)[[*COLUMNS, *own]]


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


def _row(trial: FrozenTrial) -> dict[str, Any]:
    attributes = trial.user_attrs
    row: dict[str, Any] = {"number": trial.number, "state": state_of(trial.state, attributes)}
    names = ("outcome", "duplicate_of", "candidate_id", "accuracy", "seconds", "best_epoch")
    row |= {name: attributes.get(name) for name in names}
    return row | attributes.get("cost", {}) | attributes.get("candidate", {})


def _filed(folder: Path, accuracy: float | None) -> dict[str, Any]:
    """What a trial's folder holds beyond the storage, with what it gave from all its seeds."""
    names = {entry.name for entry in os.scandir(folder)} if folder.is_dir() else set()
    own = read_json(folder / TEST_FILE)["test_accuracy"] if TEST_FILE in names else None
    results = [{"accuracy": accuracy, "test_accuracy": own}]
    if SEEDS in names:
        files = (folder / SEEDS).glob(f"*/{RESULT}")
        results += map(read_json, sorted(files, key=lambda file: int(file.parent.name)))
    return {
        "test_accuracy": own,
        "epochs": len((folder / CURVE).read_bytes().splitlines()) if CURVE in names else 0,
        "seed_accuracies": _present(result["accuracy"] for result in results),
        "seed_test_accuracies": _present(result["test_accuracy"] for result in results),
    }


def _present(values: Iterable[float | None]) -> list[float]:
    return [value for value in values if value is not None and not math.isnan(value)]


def state_of(state: TrialState, attributes: Container[str]) -> State:
    """How a trial in one of Optuna's states stands, in this package's words.

    Args:
        state: Optuna's.
        attributes: names of its user attributes; only `MARKS` are looked for.
    """
    if "duplicate_of" in attributes and state.is_finished():
        return "duplicate"
    if RUNGS in attributes and state in (TrialState.PRUNED, TrialState.RUNNING):
        return "stopped" if state == TrialState.PRUNED else "waiting"
    return STATES[state]
