from __future__ import annotations

import pandas as pd

from ir2search.report.cells import comparison_cells, importance_cells, information_cells


def test_a_loss_whose_interval_contains_zero_is_none() -> None:
    row = {"layer": "stem", "information": 3.254, "twin_information": None, "cka": 1.0}
    row |= {"plain_information": 3.0, "sign_entropy": None, "attention_similarity": 0.5}
    layers = pd.DataFrame(
        [
            row | {"loss": 0.21, "loss_low": 0.1, "loss_high": 0.3},
            row | {"loss": 0.21, "loss_low": -0.1, "loss_high": 0.5},
        ]
    )
    cells = information_cells(layers)
    assert cells["lost in the layer"].tolist() == ["+0.21", "none"]
    assert cells["information (bits)"].tolist() == ["3.25", "3.25"]
    assert cells["in the twin"].tolist() == ["-", "-"]


def test_importances_have_a_column_for_each_target() -> None:
    shares = [("depth", "accuracy", 0.25), ("width", "accuracy", 0.75), ("depth", "ops", 1.0)]
    importances = [
        {"parameter": p, "target": t, "share": s} for p, t, s in [*shares, ("width", "ops", 0.0)]
    ]
    cells = importance_cells(importances, {"accuracy": "accuracy", "ops": "OPs"})
    assert cells.to_dict("list") == {
        "parameter": ["depth", "width"],
        "for accuracy": ["25.0%", "75.0%"],
        "for OPs": ["100.0%", "0.0%"],
    }


def test_a_comparison_shows_percentages() -> None:
    row = {"run": "a", "members": 3, "best_accuracy": 0.979, "hypervolume": 0.81234}
    cells = comparison_cells(pd.DataFrame([row | {"covers_of_the_other": 0.5}]))
    assert cells.iloc[0].tolist() == ["a", "3", "97.9%", "0.8123", "50.0%"]
