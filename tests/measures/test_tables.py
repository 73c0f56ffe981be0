from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from ir2search.measures.tables import (
    attribution_flow,
    channel_entropies,
    completeness_gaps,
    faithfulness_curves,
    layers_table,
    picture_grid,
)


def row(measure: str, value: float = np.nan, **given: Any) -> dict[str, Any]:
    about = {"network": "binary", "layer": "stem", "method": None, "item": None}
    return about | {"measure": measure, "value": value, "low": value - 1, "high": value + 1} | given


@pytest.fixture
def table() -> pd.DataFrame:
    """A table of measures of two layers, with one value of each kind."""
    rows = [
        row("effective support", 0.5, method="attention"),
        row("effective support", 0.6, method="attention", layer="stage1.0"),
        row("effective support", 0.7, method="attention", network="twin"),
        row("effective support", 0.1, method="grad_cam"),
        row("usable information", 2.0),
        row("usable information", 3.0, network="no recovery", layer="stage1.0"),
        row("information loss", 0.25, layer="stage1.0"),
        row("sign entropy", 0.9, layer="stage1.0.conv1"),
        row("sign entropy", 0.8, layer="stage1.0.conv2"),
        row("channel entropy", 0.4, layer="stage1.0.conv1", item=0),
        row("bypass share", 0.0, method="grad_cam"),
        row("bypass share", 0.2, method="grad_cam", layer="stage1.0"),
        row("kept share", 0.75, method="grad_cam", layer="stage1.0"),
        row("completeness gap", 0.3, method="grad_cam"),
        row("completeness gap", 0.1, method="deeplift", layer="stage1.0"),
        *(
            row(f"{curve} curve", value, method="grad_cam", layer="input", item=step)
            for curve in ("deletion", "insertion")
            for step, value in enumerate((0.9, 0.5, 0.1))
        ),
        row("picture of seven", layer="image", item=0, array=[0.5], shape=[1, 1]),
    ]
    return pd.DataFrame(rows)


def test_each_layer_has_its_measures_with_their_intervals(table: pd.DataFrame) -> None:
    layers = layers_table(table).set_index("layer")
    assert list(layers.index) == ["stem", "stage1.0"]
    assert layers.loc["stem", ["information", "information_low"]].tolist() == [2, 1]
    assert layers.loc["stage1.0", ["plain_information", "loss", "loss_high"]].tolist() == [
        3, 0.25, 1.25,
    ]  # fmt: skip
    assert layers["attention_support"].tolist() == [0.5, 0.6], "of attention, not of a method"
    assert layers.loc["stem", "twin_attention_support"] == 0.7
    assert layers.loc["stage1.0", "sign_entropy"] == 0.9, "of the first signs"
    assert layers["cka"].isna().all()


def test_flow_adds_up_to_the_whole_attribution(table: pd.DataFrame) -> None:
    flow = attribution_flow(table, "grad_cam")
    assert flow.loc["stem"].tolist() == pytest.approx([1, 0, 0]), "no layer is before the first"
    assert flow.loc["stage1.0"].tolist() == pytest.approx([0.6, 0.2, 0.2])


def test_gaps_have_a_column_for_each_method(table: pd.DataFrame) -> None:
    gaps = completeness_gaps(table)
    assert list(gaps.columns) == ["grad_cam", "deeplift"]
    assert list(gaps.index) == ["stem", "stage1.0"]
    assert gaps.loc["stage1.0", "deeplift"] == 0.1


def test_curves_go_over_shares_from_zero_to_one(table: pd.DataFrame) -> None:
    curves = faithfulness_curves(table)
    deletion = curves[curves["curve"] == "deletion"]
    assert deletion["share"].tolist() == [0, 0.5, 1]
    assert deletion["probability"].tolist() == [0.9, 0.5, 0.1]


def test_channels_and_pictures_are_selected(table: pd.DataFrame) -> None:
    assert channel_entropies(table).to_dict("records") == [
        {"layer": "stage1.0.conv1", "entropy": 0.4}
    ]
    (picture,) = picture_grid(table).to_dict("records")
    assert (picture["label"], picture["title"], picture["shape"]) == ("seven", "image", [1, 1])
