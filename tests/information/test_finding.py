from __future__ import annotations

import json
from typing import Any

import numpy as np
import pandas as pd
import pytest

from ir2search.information.finding import findings
from ir2search.measures.tables import sensitivity_table


def row(measure: str, value: float, half: float = 0.5, **given: Any) -> dict[str, Any]:
    about = {"network": "binary", "layer": "network", "method": None, "item": None}
    ends = {"low": value - half, "high": value + half}
    return about | {"measure": measure, "value": value, **ends} | given


def change(layer: str, value: float, network: str, half: float = 0.5) -> list[dict[str, Any]]:
    return [
        row(f"{measure} change", scale * value, half, layer=layer, network=network, method=part)
        for part in ("weights", "activations", "both")
        for measure, scale in (("accuracy", 1.0), ("loss", -0.1))
    ]


@pytest.fixture
def table() -> pd.DataFrame:
    """What an analysis of a network with two stages could measure."""
    layers = ("stem", "stage1.0", "stage1.1", "stage2.0", "stage2.1")
    return pd.DataFrame(
        [
            row("accuracy", 0.474),
            row("accuracy", 0.552, network="twin"),
            row("accuracy beyond the twin", -7.8, 3.0),
            *change("stage1.0", 0.2, "binary"),
            *change("stage1.1", -3.0, "binary"),
            *change("stage2.0", 1.9, "binary"),
            *change("stage2.1", 0.0, "binary"),
            *change("stage1", -3.1, "binary"),
            *change("stage2", 0.1, "binary"),
            *change("network", -9.0, "binary"),
            *change("stage1", -0.1, "twin"),
            *change("stage2", -4.1, "twin", 0.8),
            *change("network", -31.0, "twin", 2.0),
            row("OPs of the release", 300e3, layer="stage2.0"),
            row("OPs of the release", 600e3, layer="stage2"),
            *(row("effective support", 0.5, layer=each, method="attention") for each in layers),
            row("information loss", 0.21, 0.1, layer="stage1.0"),
            row("information loss", -0.19, 0.1, layer="stage1.1"),
            row("information loss", 0.01, 0.1, layer="stage2.0"),
            row("local SQNR", 6.0, layer="stage1.0.conv"),
            row("local SQNR", 2.5, layer="stage2.0.conv"),
            row("graph-wise SQNR", 15.0, layer="stem"),
            row("graph-wise SQNR", 1.25, layer="stage2.1"),
        ]
    )


def test_findings_are_sentences_with_numbers_and_intervals(table: pd.DataFrame) -> None:
    said = {each.topic: each.sentence for each in findings(table)}
    assert said == {
        "accuracy": "The binary network classifies 47.4% of the images, its full-precision twin "
        "55.2%: 7.8 ± 3.0 points less.",
        "binarised": "Binarised alone in the twin: stage2 costs 4.1 ± 0.8 points; stage1: nothing "
        "measurable. All together: costs 31.0 ± 2.0 points.",
        "released": "Released alone in the binary network: stage2.0 returns 1.9 ± 0.5 points for "
        "300 k OPs; without training again, 1 of 4 layers loses accuracy (most: stage1.1, "
        "3.0 ± 0.5 points); stage1.0, stage2.1: nothing measurable.",
        "suggested": "Suggested for full precision, by what a release returns for its OPs: "
        "stage2.0 (1.9 ± 0.5 points for 300 k OPs).",
        "information": "About the label, for a linear probe: stage1.0 loses 0.21 ± 0.10 bits; "
        "stage1.1 gains 0.19 ± 0.10 bits; stage2.0: nothing measurable.",
        "noise": "Signs leave the least signal in stage2.0: 2.5 dB above the noise on the "
        "network's own input. Against the twin, from the image on: 15.0 dB after stem, 1.2 dB "
        "after stage2.1.",
    }


def test_findings_can_be_written_as_json(table: pd.DataFrame) -> None:
    found = json.loads(json.dumps([each.as_dict() for each in findings(table)]))
    released = next(each for each in found if each["topic"] == "released")
    assert released["values"][0] == {
        "layer": "stage1.0", "value": 0.2, "low": -0.3, "high": 0.7, "unit": "points",
    }  # fmt: skip
    suggested = next(each for each in found if each["topic"] == "suggested")
    assert suggested["values"] == [
        {"layer": "stage2.0", "value": 1.9, "low": 1.4, "high": 2.4, "unit": "points", "ops": 3e5}
    ]
    assert len(released["values"]) == 7, "also layers that the sentence does not name"


def test_topics_that_were_not_measured_are_left_out(table: pd.DataFrame) -> None:
    without = table[~table["measure"].str.contains("change|SQNR|accuracy")]
    assert [each.topic for each in findings(without)] == ["information"]
    assert sensitivity_table(without).empty
    alone = table[(table["network"] == "binary") & (table["measure"] != "accuracy beyond the twin")]
    (first, *_) = findings(alone)
    assert first.sentence == "The binary network classifies 47.4% of the images."


def test_no_measurable_difference_is_said(table: pd.DataFrame) -> None:
    is_small = table["measure"].isin(["accuracy beyond the twin", "accuracy change"])
    table.loc[is_small, ["value", "low", "high"]] = [0.5, -1.0, 2.0]
    said = {each.topic: each.sentence for each in findings(table)}
    assert said["accuracy"].endswith("no measurable difference (-1.0 to +2.0 points).")
    assert said["binarised"] == "Binarised alone in the twin: nothing measurable."
    assert said["suggested"].startswith("No layer is suggested for full precision: none is worth")


def test_the_table_of_sensitivity_has_a_row_for_each_change(table: pd.DataFrame) -> None:
    swept = sensitivity_table(table)
    assert len(swept) == 3 * 7
    both = swept[swept["part"] == "both"].set_index("layer")
    assert both["kind"].to_dict() == {
        **dict.fromkeys(["stage1.0", "stage1.1", "stage2.0", "stage2.1"], "layer"),
        **dict.fromkeys(["stage1", "stage2"], "stage"),
        "network": "network",
    }
    assert both.loc["stage2", "binarised_accuracy_points"] == pytest.approx(-4.1)
    assert both.loc["stage2", "binarised_accuracy_points_low"] == pytest.approx(-4.9)
    assert both.loc["stage2.0", "released_ops"] == 300e3
    assert np.isnan(both.loc["stage1.0", "binarised_accuracy_points"])
