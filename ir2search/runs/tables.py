"""Tables of trials: all of them, the front, and its knee."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, get_args

import moocore
import numpy as np
import pandas as pd
from pydantic import Field

from ir2search.errors import RunError
from ir2search.files import read_bytes, read_json
from ir2search.models.families import FAMILIES
from ir2search.runs.layout import CURVE, RESULT, SEEDS, TEST_FILE
from ir2search.runs.records import WHOLE_COSTS, How, TrialRecord
from ir2search.space import RECIPE, Candidate, field_of
from ir2search.study.objectives import OBJECTIVES, further_columns
from ir2search.study.schema import Study
from ir2search.text import RELEASED
from ir2search.validation import Share, checked

RECORDED = ("outcome", "duplicate_of", "candidate_id", "accuracy", "seconds", "best_epoch")
COLUMNS = (
    "number", "state", "outcome", "duplicate_of", "candidate_id", "accuracy", "test_accuracy",
    "test_images",
    "ops", "flops", "bops", "memory_bytes", "parameters", "binary_parameters",
    "seconds", "best_epoch", "epochs", "seed_accuracies", "seed_test_accuracies",
    *(name for name in Candidate().as_dict() if name != "image"), "image",
)  # fmt: skip
# columns of fields that have a column only if the study sets them
SHAPE = tuple(FAMILIES[Candidate().backbone].shape_defaults())
SHARED = ("how", "inherited_accuracy")  # columns of a study with a supernet
# columns that say how a network is made and trained, not how good it is
SETTINGS = (
    "state", "outcome", "duplicate_of", "test_images", "validation_images", "best_epoch", "epochs",
    *Candidate().as_dict(), *SHAPE, *RELEASED,
)  # fmt: skip
# columns that come from a trial's files
FROM_FILES = ("test_accuracy", "test_images", "epochs", "seed_accuracies", "seed_test_accuracies")
# columns of whole numbers, which are empty for a trial without a network
WHOLE = (
    "duplicate_of", "test_images", *WHOLE_COSTS, "best_epoch",
    "depth", "fusion_channels", "fusion_group_size", "classes",
    "stem_levels", "stem_kernel", "stem_stride",
)  # fmt: skip


def trials_table(
    trials: Iterable[TrialRecord], study: Study, folder_of: Callable[[int], Path]
) -> pd.DataFrame:
    """One row for each trial: its record, and what its files add.

    `Run.trials` describes the columns; the study's objectives may add some. ``folder_of`` gives the
    folder of a trial by its number.
    """
    table = recorded_table(trials, study)
    pairs = zip(table["number"], table["accuracy"], strict=True)
    rows = [_from_files(folder_of(number), accuracy) for number, accuracy in pairs]
    added = pd.DataFrame(rows, columns=list(FROM_FILES), index=table.index)
    added = added.astype({"test_accuracy": "float64", "test_images": "Int64", "epochs": "int64"})
    own = [name for name in table.columns if name not in COLUMNS]
    return table.join(added)[[*COLUMNS, *own]]


def recorded_table(trials: Iterable[TrialRecord], study: Study) -> pd.DataFrame:
    """One row for each trial: only its record, without its files."""
    columns = [name for name in COLUMNS if name not in FROM_FILES]
    columns += further_columns(study.costs)
    columns += [] if study.supernet is None else list(SHARED)
    columns += [name for name in study.space.searched if name.startswith(RECIPE)]
    given = {field_of(name) for name in {*study.space.fixed, *study.space.searched}}
    columns += [name for name in SHAPE if name in given]
    columns += list(RELEASED) if "binary" in given else []
    rows = [_row(trial) for trial in trials]
    table = pd.DataFrame(rows, columns=columns)
    return table.astype({name: "Int64" for name in WHOLE if name in columns})


def front_of(table: pd.DataFrame, study: Study) -> pd.DataFrame:
    """The trained trials of a table that no other one dominates, best accuracy first.

    Of trials with equal objectives the first one stays. With a supernet, accuracies of different
    kinds are not compared: only trained networks count if there are any, or else fine-tuned ones.
    """
    trained = _comparable(table)
    if len(trained):
        trained = trained[moocore.is_nondominated(minimised(trained, study))]
    return trained.sort_values("accuracy", ascending=False).reset_index(drop=True)


def tested_trials(table: pd.DataFrame, study: Study) -> pd.DataFrame:
    """The trials that are tested, and trained from further seeds, when the search has ended.

    They are the front, or all trained ones with ``[confirm] trials = "all"``.
    """
    return _comparable(table) if study.confirms_all else front_of(table, study)


def _comparable(table: pd.DataFrame) -> pd.DataFrame:
    """The trained trials; with a supernet only those whose accuracies are of the best kind."""
    trained = table[table["state"] == "trained"]
    if "how" in table and len(trained):
        kinds = trained["how"].fillna("inherited")
        trained = trained[kinds == max(kinds, key=get_args(How).index)]
    return trained


def without_constants(front: pd.DataFrame) -> pd.DataFrame:
    """A front without the settings that all of its networks share, see `SETTINGS`."""
    if len(front) < 2:
        return front
    settings = [c for c in front.columns if c in SETTINGS or c.startswith(RECIPE)]
    return front.drop(columns=[name for name in settings if front[name].map(str).nunique() == 1])


def as_searched(table: pd.DataFrame) -> pd.DataFrame:
    """The table of trials with the accuracies that the search saw."""
    if "inherited_accuracy" not in table:
        return table
    return table.assign(accuracy=table["inherited_accuracy"], how="inherited")


def minimised(table: pd.DataFrame, study: Study) -> np.ndarray:
    """The objectives as numbers to minimise, (rows, objectives) float64.

    Accuracy becomes the error, 1 - accuracy.
    """
    columns = []
    for name in study.objectives:
        column = table[OBJECTIVES[name].column].to_numpy(dtype=np.float64, na_value=np.nan)
        columns.append(1 - column if name == "accuracy" else column)
    return np.stack(columns, axis=1)


def knee(front: pd.DataFrame, study: Study) -> int:
    """Position of a front's knee: the member with the least sum of its objectives.

    Each objective is scaled to [0, 1] over the front. With two objectives this member is farthest
    below the line through the extremes (Das, "On characterizing the 'knee' of the Pareto curve",
    Structural Optimization 1999).
    """
    values = minimised(front, study)
    spread = np.ptp(values, axis=0)
    scaled = (values - values.min(axis=0)) / np.where(spread > 0, spread, 1)
    return int(scaled.sum(axis=1).argmin())


def json_rows(table: pd.DataFrame) -> list[dict[str, Any]]:
    """A table's rows in values that JSON can hold; None for missing values."""
    rows: list[dict[str, Any]] = json.loads(table.to_json(orient="records", double_precision=15))
    return rows


def _row(trial: TrialRecord) -> dict[str, Any]:
    recorded = trial.attributes
    row: dict[str, Any] = {"number": trial.number, "state": trial.state}
    row |= {name: getattr(recorded, name) for name in (*RECORDED, *SHARED)}
    candidate = recorded.candidate or {}
    recipe = {RECIPE + name: value for name, value in candidate.get("recipe", {}).items()}
    family = FAMILIES.get(candidate.get("backbone", ""))
    shape = {} if family is None else family.shape_defaults()
    released: dict[str, list[str]] = {name: [] for name in RELEASED} if candidate else {}
    return row | (recorded.cost or {}) | shape | released | candidate | recipe


def _from_files(folder: Path, accuracy: float | None) -> dict[str, Any]:
    """What a trial's files add, with the results of its further seeds."""
    names = {entry.name for entry in os.scandir(folder)} if folder.is_dir() else set()
    own = _read_result(folder / TEST_FILE) if TEST_FILE in names else _Result()
    seeds = []
    if SEEDS in names:
        files = [f for f in (folder / SEEDS).glob(f"*/{RESULT}") if f.parent.name.isdecimal()]
        seeds = [_read_result(f) for f in sorted(files, key=lambda file: int(file.parent.name))]
    return {
        "test_accuracy": own.test_accuracy,
        "test_images": own.images,
        "epochs": _lines(folder / CURVE) if CURVE in names else 0,
        "seed_accuracies": _present([accuracy, *(each.accuracy for each in seeds)]),
        "seed_test_accuracies": _present(each.test_accuracy for each in (own, *seeds)),
    }


@dataclass(frozen=True)
class _Result:
    """What a file of a trial says about accuracy, on validation images and on test images.

    ``images`` is the number of test images.
    """

    accuracy: Share | None = None
    test_accuracy: Share | None = None
    images: Annotated[int, Field(ge=1, lt=2**63)] | None = None


def _read_result(file: Path) -> _Result:
    return checked(read_json(file), _Result, file)


def _lines(file: Path) -> int:
    try:
        return len(read_bytes(file).splitlines())
    except OSError as error:
        raise RunError(f"{file}: {error.strerror}; restore or remove it") from None


def _present(values: Iterable[float | None]) -> list[float]:
    return [value for value in values if value is not None and not math.isnan(value)]
