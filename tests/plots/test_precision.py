from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from figures import check_figure
from matplotlib.colors import to_hex

import ir2search as ir
from ir2search.errors import InputError


@pytest.fixture
def swept() -> pd.DataFrame:
    """A table of two layers, their stage and the network; the twin is not known for the stem."""
    names = {"stem": "layer", "stage1.0": "layer", "stage1.1": "layer", "stage1": "stage"}
    names["network"] = "network"
    rows = []
    for place, (layer, kind) in enumerate(names.items()):
        for part in ("weights", "activations", "both"):
            value = -1.0 * place
            row = {"layer": layer, "kind": kind, "part": part, "released_ops": 1e3}
            for direction in ("binarised", "released"):
                known = layer != "stem" or direction == "released"
                shown = value if known else np.nan
                name = f"{direction}_accuracy_points"
                row |= {name: shown, f"{name}_low": shown - 1.5, f"{name}_high": shown + 1.5}
            rows.append(row)
    return pd.DataFrame(rows)


@pytest.fixture
def layers() -> pd.DataFrame:
    values = {"local_sqnr_db": [np.nan, 5.0, 3.0], "graph_sqnr_db": [20.0, 8.0, 4.0]}
    table = pd.DataFrame({"layer": ["stem", "stage1.0", "stage1.1"], **values})
    for name in values:
        table[f"{name}_low"], table[f"{name}_high"] = table[name] - 1, table[name] + 1
    return table


def test_each_part_has_a_mark_for_each_known_change(swept: pd.DataFrame) -> None:
    ax = ir.plots.sensitivity(swept)
    marks = [each for each in ax.collections if each.get_label() in ("weights", "both")]
    assert [list(np.asarray(each.get_offsets())[:, 1]) for each in marks] == [[-1, -2, -3, -4]] * 2
    faces = [to_hex(colour) for colour in marks[0].get_facecolors()]
    assert faces == ["#ffffff", "#0072b2", "#0072b2", "#0072b2"], "hollow if it may be zero"
    legend = ax.get_legend()
    assert legend is not None
    assert [each.get_text() for each in legend.get_texts()] == ["weights", "activations", "both"]
    assert [each.get_text() for each in ax.get_xticklabels()][-2:] == ["stage1", "network"]


def test_signal_to_noise_has_a_line_for_each_known_ratio(layers: pd.DataFrame) -> None:
    ax = ir.plots.noise_ratios(layers)
    assert [list(line.get_ydata()) for line in ax.lines] == [[5, 3], [20, 8, 4]]
    alone = ir.plots.noise_ratios(layers.drop(columns="graph_sqnr_db"))
    assert len(alone.lines) == 1


def test_panels_are_drawn_for_what_is_known(swept: pd.DataFrame, layers: pd.DataFrame) -> None:
    figure = ir.plots.sensitivity_panels(swept, layers, "a title")
    check_figure(figure)
    assert len(figure.axes) == 3
    alone = swept.assign(binarised_accuracy_points=np.nan)
    assert len(ir.plots.sensitivity_panels(alone, layers, "a title").axes) == 2


def test_an_analysis_without_a_sweep_has_no_figure_of_it(swept: pd.DataFrame) -> None:
    for table in (swept.iloc[:0], swept.assign(released_accuracy_points=np.nan)):
        with pytest.raises(InputError, match="has no layer that was released"):
            ir.plots.sensitivity(table, "released")
