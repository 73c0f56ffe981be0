from __future__ import annotations

import numpy as np
import pandas as pd

import ir2search as ir


def test_each_layer_is_a_row_of_its_channels_by_falling_entropy() -> None:
    entropies = pd.DataFrame(
        {
            "layer": ["stage1.0.conv"] * 2 + ["stage2.0.conv"] * 3,
            "entropy": [0.5, 1.0, 0.2, 0.9, 0.0],
        }
    )
    ax = ir.plots.channels(entropies)
    (image,) = ax.images
    drawn = np.ma.filled(image.get_array(), np.nan)
    np.testing.assert_array_equal(drawn, [[1.0, 0.5, np.nan], [0.9, 0.2, 0.0]])
    assert [each.get_text() for each in ax.get_yticklabels()] == ["stage1.0", "stage2.0"]


def test_a_network_without_signs_has_an_empty_figure() -> None:
    ax = ir.plots.channels(pd.DataFrame({"layer": [], "entropy": []}))
    assert not ax.get_yticklabels()
