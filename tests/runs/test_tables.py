from __future__ import annotations

from conftest import QUICK

from ir2search import text
from ir2search.runs.parameters import parameter_values
from ir2search.runs.records import TrialAttributes, TrialRecord
from ir2search.runs.tables import json_rows, recorded_table
from ir2search.space import Candidate
from ir2search.study.loading import parse_study

SHAPE = {"stem_stride": [1, 2], "widths": {"stage3": [0.5, 1.0]}}


def records() -> list[TrialRecord]:
    """Two networks, of which one has the backbone's shape, and a trial without a network."""
    candidates = (Candidate(depth=8), Candidate(stem_stride=2, widths=(1, 1, 0.5)), None)
    fields = [None if each is None else each.as_dict() for each in candidates]
    return [
        TrialRecord(number, "trained", {}, None, TrialAttributes(candidate=each))
        for number, each in enumerate(fields)
    ]


def test_fields_of_the_shape_have_columns_if_the_study_sets_them() -> None:
    plain = recorded_table(records(), parse_study(QUICK, "a.toml"))
    assert not {"stem_stride", "widths"} & set(plain)
    study = parse_study(QUICK | {"space": QUICK["space"] | SHAPE}, "a.toml")
    table = recorded_table(records(), study)
    assert table["stem_stride"].tolist()[:2] == [1, 2]
    assert str(table["stem_stride"].dtype) == "Int64"
    assert "stem_kernel" not in table
    assert parameter_values(table[:2], "widths_stage3").tolist() == [1.0, 0.5]
    rows = json_rows(table)
    assert "stem stride 2, widths 1-1-0.5" in text.network(rows[1])
    assert text.network(rows[2]) == "no network"


def test_layers_that_are_not_binary_have_columns_if_the_study_sets_precision() -> None:
    mixed = Candidate(depth=8, real_layers=("stage3.0",), int8_layers=("stage2",)).as_dict()
    found = [TrialRecord(3, "trained", {}, None, TrialAttributes(candidate=mixed)), *records()]
    space = QUICK["space"] | {"binary": {"stage2": ["int8", True], "stage3.0": [True, False]}}
    table = recorded_table(found, parse_study(QUICK | {"space": space}, "a.toml"))
    assert parameter_values(table[:2], "binary_stage2").tolist() == ["int8", "binary"]
    assert parameter_values(table[:2], "binary_stage3").tolist() == ["mixed", "binary"]
    rows = json_rows(table)
    assert "int8 layers stage2, real layers stage3.0" in text.network(rows[0])
    assert "layers" not in text.network(rows[1])
    assert rows[3]["real_layers"] is None, "a trial without a network"
    plain = recorded_table(found, parse_study(QUICK, "a.toml"))
    assert "real_layers" not in plain
