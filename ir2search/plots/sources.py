"""The data frames of a run, for figures.

The packages that make them are above this one, and are imported only when a run is drawn.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from ir2search.errors import RunError

if TYPE_CHECKING:
    from ir2search.runs import Run


def hypervolume_frame(run: Run) -> pd.DataFrame:
    """All trials of a run, with the ``hypervolume`` after each."""
    from ir2search.report.tables import hypervolumes
    from ir2search.runs.tables import as_searched

    trials = run.trials()
    return trials.assign(hypervolume=hypervolumes(as_searched(trials), run.study))


def curve_frame(run: Run) -> pd.DataFrame:
    """Validation accuracies of all trials of a run: ``number``, ``epoch``, ``accuracy``."""
    rows = [
        (number, result.epoch, result.validation_accuracy)
        for number in run.trials()["number"]
        for result in run.curve(int(number))
        if result.validation_accuracy is not None
    ]
    return pd.DataFrame(rows, columns=["number", "epoch", "accuracy"])


def importance_frame(run: Run) -> pd.DataFrame:
    """Importances of the searched parameters: ``target``, ``parameter``, ``share``."""
    from ir2search.report.parameters import parameter_effects
    from ir2search.runs.tables import as_searched

    space, seed = run.study.search_space, run.study.seed
    found = parameter_effects(as_searched(run.trials()), space, seed).importances
    rows = [(each.target, each.parameter, each.share) for each in found]
    return pd.DataFrame(rows, columns=["target", "parameter", "share"])


def measures(run: Run, trial: str, *, pictures: bool = False) -> pd.DataFrame:
    """The table of the finished analysis of a trial.

    Args:
        run: the run.
        trial: ``"best"``, ``"knee"`` or the number of a trial.
        pictures: whether the pictures are read too.

    Raises:
        RunError: the trial was not analysed, or its table cannot be read.
    """
    from ir2search.information.table_file import read_measures
    from ir2search.runs.layout import INFORMATION

    number = run.pick(trial)
    file = run.folder_of(number) / INFORMATION / "information.parquet"
    if not file.exists():
        raise RunError(
            f"{run.folder}: trial {number} was not analysed; call ir2search.analyze on it first"
        )
    try:
        return pd.read_parquet(file) if pictures else read_measures(file)
    except (OSError, ValueError) as error:
        raise RunError(f"{file}: {error}; analyse the trial again") from None
