"""How large a front is: the hypervolume that it dominates."""

from __future__ import annotations

import moocore
import numpy as np
import pandas as pd

from ir2search.runs.tables import minimised
from ir2search.study.schema import Study


def reference_point(values: np.ndarray, study: Study) -> np.ndarray:
    """The reference point of the hypervolume: an error of 1, and 1.1 times the largest cost.

    ``values`` are the objectives of networks to minimise, (networks, objectives). The result is
    above 0 for each objective.
    """
    is_error = [name == "accuracy" for name in study.objectives]
    return np.where(is_error, 1.0, np.maximum(1.1 * values.max(axis=0), 1e-12))


def hypervolumes(trials: pd.DataFrame, study: Study) -> list[float]:
    """Hypervolume of the front after each trial, as a share of a box.

    The box reaches from zero error and zero cost to `reference_point` (Zitzler and Thiele,
    "Multiobjective optimization using evolutionary algorithms", PPSN 1998).
    """
    trained = (trials["state"] == "trained").to_numpy()
    if not trained.any():
        return [0.0] * len(trials)
    values = minimised(trials, study)
    scaled = values / reference_point(values[trained], study)
    result, current = [], 0.0
    corner = np.ones(scaled.shape[1])
    front = np.empty((0, len(corner)))
    for row, is_trained in zip(scaled, trained, strict=True):
        if is_trained and not (front <= row).all(axis=1).any():
            grown = np.vstack([front, row])
            front = grown[moocore.is_nondominated(grown)]
            current = float(moocore.hypervolume(front, ref=corner))
        result.append(current)
    return result
