from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ir2search.runs.hypervolume import hypervolumes
from ir2search.study.loading import parse_study

STUDY = parse_study({"space": {}, "objectives": ["accuracy", "ops"]}, "a.toml")


def trials(rows: list[tuple[float, float]]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["accuracy", "ops"]).assign(state="trained")


def staircase(points: np.ndarray, corner: np.ndarray) -> float:
    """The area between points to minimise and a corner: one strip for each point."""
    area, height = 0.0, corner[1]
    for x, y in sorted(map(tuple, points)):
        if y < height:
            area += (corner[0] - x) * (height - y)
            height = y
    return area


@given(st.lists(st.tuples(st.integers(0, 100), st.integers(1, 1000)), min_size=1, max_size=20))
def test_the_hypervolume_is_the_area_of_the_staircase_and_never_falls(
    rows: list[tuple[int, int]],
) -> None:
    table = trials([(accuracy / 100, float(ops)) for accuracy, ops in rows])
    found = hypervolumes(table, STUDY)
    most = 1.1 * table["ops"].max()
    points = np.stack([1 - table["accuracy"], table["ops"] / most], axis=1)
    expected = [staircase(points[: n + 1], np.ones(2)) for n in range(len(rows))]
    np.testing.assert_allclose(found, expected, atol=1e-12)
    assert found == sorted(found)


def test_trials_that_are_not_trained_add_no_hypervolume() -> None:
    table = trials([(0.5, 10.0), (np.nan, np.nan), (0.9, 10.0)])
    table.loc[1, "state"] = "failed"
    first, second, third = hypervolumes(table, STUDY)
    assert first == second == pytest.approx(0.5 * (1 - 1 / 1.1))
    assert third == pytest.approx(0.9 * (1 - 1 / 1.1))
    assert hypervolumes(table.iloc[1:2], STUDY) == [0.0]
