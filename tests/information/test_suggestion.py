from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
from conftest import QUICK

import ir2search as ir
from ir2search.information.suggestion import suggested_study, suggestions, write_study
from ir2search.study.loading import parse_study


def swept(**points: tuple[float, float, float]) -> pd.DataFrame:
    """A table of sensitivity: by layer, points if released, if binarised in the twin, and OPs."""
    rows = []
    for layer, (released, binarised, ops) in points.items():
        row: dict[str, object] = {"layer": layer.replace("_", "."), "part": "both"}
        row |= {"kind": "layer" if "_" in layer else "stage", "released_ops": ops}
        for name, value in (("released", released), ("binarised", binarised)):
            column = f"{name}_accuracy_points"
            row |= {column: value, f"{column}_low": value - 1, f"{column}_high": value + 1}
        rows.append(row)
    return pd.DataFrame(rows)


def test_the_layers_that_return_most_for_their_ops_are_suggested() -> None:
    table = swept(
        stage1_0=(2.0, -9.0, 100.0),
        stage1_1=(0.9, -9.0, 1.0),
        stage2_0=(3.0, -9.0, 200.0),
        stage2_1=(4.0, -9.0, 100.0),
        stage3_0=(2.0, -9.0, 250.0),
        stage3_1=(2.0, -9.0, 300.0),
        stage2=(6.0, -9.0, 300.0),
    )
    found = suggestions(table)
    assert [each.layer for each in found] == ["stage2.1", "stage1.0", "stage2.0"]
    assert (found[0].points, found[0].low, found[0].high, found[0].ops) == (4.0, 3.0, 5.0, 100.0)
    assert not any(each.from_twin for each in found)


def test_without_a_measurable_return_the_twin_says_what_signs_cost() -> None:
    table = swept(stage1_0=(-3.0, -2.0, 100.0), stage1_1=(0.5, -5.0, 100.0))
    found = suggestions(table)
    assert [(each.layer, each.points) for each in found] == [("stage1.1", 5.0), ("stage1.0", 2.0)]
    assert all(each.from_twin and each.low < each.points < each.high for each in found)
    assert suggestions(swept(stage1_0=(0.5, 3.0, 100.0))) == []


def test_the_suggested_study_tries_every_subset_and_can_be_run(tmp_path: Path) -> None:
    study = parse_study(QUICK | {"budget": {"ops": 1e6}}, "quick.toml")
    trained = ir.Candidate(
        depth=8, width=0.5, widths=(1, 0.5, 1), taps=("stem",), fusion_channels=3, threshold=0.3,
        int8_layers=("stage1",), recipe=(("lr", 0.005),),
    )  # fmt: skip
    found = suggested_study(study, trained, ["stage3.1", "stage1"])
    assert found is not None
    write_study(found, tmp_path / "suggested.toml")
    read = ir.load_study(tmp_path / "suggested.toml")
    assert (read.name, read.sampler, read.trials) == (f"{study.name}-released", "grid", 4)
    assert read.recipe.lr == 0.005
    assert read.budget == {}
    space = read.space.with_data(trained.image, trained.classes)
    tried = [space.candidate(point) for point in space.grid()]
    assert tried[0] == trained.without_recipe()
    assert {(each.int8_layers, each.real_layers) for each in tried} == {
        (("stage1",), ()),
        (("stage1",), ("stage3.1",)),
        ((), ("stage1",)),
        ((), ("stage1", "stage3.1")),
    }


@pytest.mark.parametrize("layers", [[], ["block7"]])
def test_there_is_no_study_without_layers_that_can_be_released(layers: list[str]) -> None:
    assert suggested_study(parse_study(QUICK, "quick.toml"), ir.Candidate(), layers) is None
