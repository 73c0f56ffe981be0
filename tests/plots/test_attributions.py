from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.colors import to_hex

import ir2search as ir


def test_flow_has_a_band_in_its_colour_for_each_share() -> None:
    shares = pd.DataFrame(
        {"kept": [1.0, 0.5], "moved": [0.0, 0.3], "bypassing": [0.0, 0.2]}, index=["stem", "stage1"]
    )
    ax = ir.plots.flow(shares)
    found = [to_hex(each.get_facecolor()[0]) for each in ax.collections]
    assert found == ["#0072b2", "#8a8a8a", "#d55e00"]
    tops = [each.get_paths()[0].vertices[:, 1].max() for each in ax.collections]
    np.testing.assert_allclose(tops, [1.0, 1.0, 1.0])
    legend = ax.get_legend()
    assert legend is not None
    assert len(legend.get_texts()) == 3
    assert [each.get_text() for each in ax.get_xticklabels()] == ["stem", "stage1"]


def test_faithfulness_has_a_line_for_each_method_in_both_panels() -> None:
    curves = pd.DataFrame(
        [
            {"curve": curve, "method": method, "share": share, "probability": value}
            for curve in ("deletion", "insertion")
            for method, value in (("random order", 0.5), ("grad_cam", 0.9))
            for share in (0.0, 0.5, 1.0)
        ]
    )
    axes = ir.plots.faithfulness(curves)
    assert [ax.get_title() for ax in axes] == ["deletion", "insertion"]
    assert [ax.get_xlabel() for ax in axes] == ["pixels blanked", "pixels put back"]
    for ax in axes:
        by_chance, method = ax.lines
        assert (by_chance.get_label(), by_chance.get_color()) == ("random order", "#000000")
        assert (method.get_label(), method.get_color()) == ("grad cam", "#0072B2")
        assert list(method.get_ydata()) == [0.9] * 3


def test_methods_have_the_same_colours_wherever_the_random_order_stands() -> None:
    methods = ["grad_cam", "random order", "deeplift"]
    curves = pd.DataFrame(
        [
            {"curve": curve, "method": method, "share": share, "probability": 0.5}
            for curve in ("deletion", "insertion")
            for method in methods
            for share in (0.0, 1.0)
        ]
    )
    for ax in ir.plots.faithfulness(curves):
        assert [line.get_color() for line in ax.lines] == ["#0072B2", "#000000", "#D55E00"]
