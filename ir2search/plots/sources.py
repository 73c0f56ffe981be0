"""The data frames of a run, for figures. What makes them is imported when a run is drawn."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TypeAlias

import pandas as pd

from ir2search.errors import RunError

if TYPE_CHECKING:
    from ir2search.runs import Run


class Analysed(Protocol):
    """An `ir2search.information.Analysis`."""

    @property
    def table(self) -> pd.DataFrame:
        """All values."""


AnalysisData: TypeAlias = "pd.DataFrame | Run | Analysed"


def hypervolume_frame(run: Run) -> pd.DataFrame:
    """All trials of a run, with the ``hypervolume`` after each."""
    from ir2search.runs.hypervolume import hypervolumes
    from ir2search.runs.tables import as_searched

    trials = run.trials()
    return trials.assign(hypervolume=hypervolumes(as_searched(trials), run.study))


def curve_frame(
    data: pd.DataFrame | Run | str | Path, members: Sequence[int] | None
) -> tuple[pd.DataFrame, Sequence[int]]:
    """Learning curves of a run or of one training, and the numbers of those in colour.

    Raises:
        RunError: a folder has no training.
    """
    if isinstance(data, pd.DataFrame):
        return data, members or ()
    if not isinstance(data, str | Path):
        shown = list(data.front()["number"]) if members is None else members
        return data.curves(data.trials()["number"]), shown
    from ir2search.runs.curves import read_curve
    from ir2search.runs.layout import CURVE

    found = [(0, each.epoch, each.validation_accuracy) for each in read_curve(Path(data) / CURVE)]
    rows = pd.DataFrame(found, columns=["number", "epoch", "accuracy"]).dropna()
    if rows.empty:
        raise RunError(f"{data}: has no {CURVE} with epochs; give the folder of a training")
    return rows, [0]


def importance_frame(run: Run) -> pd.DataFrame:
    """Importances of the searched parameters: ``target``, ``parameter``, ``share``."""
    from ir2search.runs.parameters import parameter_effects
    from ir2search.runs.tables import as_searched

    space, seed = run.study.search_space, run.study.seed
    found = parameter_effects(as_searched(run.trials()), space, seed).importances
    rows = [(each.target, each.parameter, each.share) for each in found]
    return pd.DataFrame(rows, columns=["target", "parameter", "share"])


def of_analysis(
    data: AnalysisData,
    trial: str,
    make: Callable[[pd.DataFrame], pd.DataFrame],
    *,
    pictures: bool = False,
) -> pd.DataFrame:
    """A frame as it is, or the frame that a function makes from a finished analysis.

    Args:
        data: a frame, an analysis, or a run.
        trial: ``"best"``, ``"knee"`` or the number of a trial of the run.
        make: makes the frame from the table of an analysis, see `ir2search.information.measure`.
        pictures: whether the table has its pictures.

    Raises:
        RunError: the trial was not analysed, or its table cannot be read.
    """
    if isinstance(data, pd.DataFrame):
        return data
    from ir2search.measures.file import read_measures
    from ir2search.runs import Run
    from ir2search.runs.layout import INFORMATION

    if not isinstance(data, Run):
        return make(data.table)
    number = data.pick(trial)
    file = data.folder_of(number) / INFORMATION / "information.parquet"
    if not file.exists():
        raise RunError(
            f"{data.folder}: trial {number} was not analysed; call ir2search.analyze on it first"
        )
    try:
        return make(read_measures(file, pictures=pictures))
    except (OSError, ValueError) as error:
        raise RunError(f"{file}: {error}; analyse the trial again") from None
