from __future__ import annotations

import pandas as pd

from ir2search.report.cells import (
    importance_cells,
    information_cells,
    sensitivity_cells,
)


def test_a_loss_whose_interval_contains_zero_is_shown_as_none() -> None:
    row = {"layer": "stem", "information": 3.254, "twin_information": None, "cka": 1.0}
    row |= {"plain_information": 3.0, "sign_entropy": None, "attention_similarity": 0.5}
    layers = pd.DataFrame(
        [
            row | {"loss": 0.21, "loss_low": 0.1, "loss_high": 0.3},
            row | {"loss": 0.21, "loss_low": -0.1, "loss_high": 0.5},
            row | {"loss": -0.19, "loss_low": -0.3, "loss_high": -0.1},
        ]
    )
    cells = information_cells(layers)
    assert cells["change in the layer"].tolist() == ["lost 0.21", "none", "gained 0.19"]
    assert cells["information (bits)"].tolist() == ["3.25"] * 3
    assert "in the twin" not in cells, "there is no twin"


def test_each_layer_has_one_row_of_changes_by_part() -> None:
    rows = []
    for layer, value in (("stage1.0", -4.1), ("stage1", 0.2)):
        for part in ("weights", "both"):
            row = {"layer": layer, "kind": "layer", "part": part, "released_ops": 2.5e5}
            for direction in ("binarised", "released"):
                shown = value if direction == "binarised" else None
                name = f"{direction}_accuracy_points"
                ends = {f"{name}_low": value - 0.8, f"{name}_high": value + 0.8}
                row |= {name: shown, **(ends if shown else dict.fromkeys(ends))}
            rows.append(row)
    cells = sensitivity_cells(pd.DataFrame(rows))
    assert cells.to_dict("list") == {
        "layer": ["stage1.0", "stage1"],
        "weights binarised (points)": ["-4.1 ± 0.8", "none"],
        "both binarised (points)": ["-4.1 ± 0.8", "none"],
        "weights released (points)": ["-", "-"],
        "both released (points)": ["-", "-"],
        "OPs of the release": ["250 k", "250 k"],
    }


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
