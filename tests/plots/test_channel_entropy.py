from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.collections import PathCollection
from matplotlib.colors import to_hex

import ir2search as ir


def dots(ax: Axes) -> list[np.ndarray]:
    """The points of each row, (channels, 2)."""
    found = [each for each in ax.collections if isinstance(each, PathCollection)]
    assert {to_hex(each.get_facecolor()[0]) for each in found} == {"#0072b2"}
    return [np.asarray(each.get_offsets()) for each in found]


def test_each_channel_is_a_dot_in_the_row_of_its_layer() -> None:
    entropies = pd.DataFrame(
        {
            "layer": ["stage1.0.conv"] * 2 + ["stage2.0.conv"] * 3,
            "entropy": [0.5, 1.0, 0.2, 0.9, 0.0],
        }
    )
    ax = ir.plots.channels(entropies)
    first, second = dots(ax)
    assert first[:, 0].tolist() == [0.5, 1.0]
    assert second[:, 0].tolist() == [0.0, 0.2, 0.9]
    assert second[:, 1].round().tolist() == [1, 1, 1], "in the row of their layer"
    assert second[0, 1] > second[1, 1] > second[2, 1], "the axis points down"
    assert [each.get_text() for each in ax.get_yticklabels()] == ["stage1.0", "stage2.0"]


def test_a_place_is_proportional_to_the_share_of_positive_signs() -> None:
    shares = np.array([0.35, 0.4, 0.44, 0.47, 0.49, 0.499])
    entropy = -(shares * np.log2(shares) + (1 - shares) * np.log2(1 - shares))
    ax = ir.plots.channels(pd.DataFrame({"layer": "stage1.0.conv", "entropy": entropy}))
    places = ax.transData.transform(dots(ax)[0])[:, 0]
    relative = (shares - shares[0]) / np.ptp(shares)
    np.testing.assert_allclose((places - places[0]) / np.ptp(places), relative, atol=0.01)
    assert np.ptp(places) > 0.8 * ax.bbox.width


def test_a_network_without_signs_has_a_sentence_instead() -> None:
    ax = ir.plots.channels(pd.DataFrame({"layer": [], "entropy": []}))
    assert [each.get_text() for each in ax.texts] == ["no signs in this network"]
    assert not ax.axison
