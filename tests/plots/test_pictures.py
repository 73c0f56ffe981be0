from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

import ir2search as ir

IMAGE = np.linspace(0, 1, 12).reshape(2, 2, 3)
RESTRICTED = IMAGE.copy()
RESTRICTED[0, 0] = (0.84, 0.37, 0.0)
ATTENTION = np.array([[1.0, 2.0], [3.0, 4.0]])


def grid(*columns: tuple[str, list[np.ndarray]]) -> pd.DataFrame:
    """A table of pictures: for each column its title, and a picture for each image."""
    return pd.DataFrame(
        [
            {
                "image": image, "label": f"digit {image}", "title": title,
                "pixels": pictures[image].flatten().tolist(),
                "shape": list(pictures[image].shape),
            }
            for image in range(len(columns[0][1]))
            for title, pictures in columns
        ]
    )  # fmt: skip


def caption(axes: np.ndarray) -> str:
    figure = axes[0, 0].figure
    assert isinstance(figure, Figure)
    return figure.get_supxlabel()


def test_each_image_is_a_row_of_pictures() -> None:
    maps = [ATTENTION, 10 * ATTENTION]
    axes = ir.plots.attention(grid(("image", [IMAGE] * 2), ("stage1 of the twin", maps)))
    assert axes.shape == (2, 2)
    np.testing.assert_array_equal(axes[1, 0].images[0].get_array(), IMAGE)
    np.testing.assert_allclose(axes[1, 1].images[0].get_array(), ATTENTION / 2.5)
    assert [ax.get_title() for ax in axes[0]] == ["image", "stage1\nof the twin"]
    assert [ax.get_ylabel() for ax in axes[:, 0]] == ["digit 0", "digit 1"]


def test_the_maps_of_a_layer_share_a_scale_that_is_shown() -> None:
    maps = [ATTENTION, np.array([[0.0, 1.0], [1.0, 2.0]])]
    axes = ir.plots.attention(grid(("image", [IMAGE] * 2), ("stage1", maps)))
    assert {ax.images[0].get_clim() for ax in axes[:, 1]} == {(0.0, 2.0)}
    (scale,) = [ax for ax in axes[0, 0].figure.axes if ax not in axes and ax.get_visible()]
    assert [each.get_text() for each in scale.get_xticklabels()] == ["0.00", "2.00"]
    assert caption(axes) == "scales: attention as a multiple of the map's mean"


@pytest.mark.parametrize("value", [0.0, 3.0])
def test_a_constant_map_is_drawn(value: float) -> None:
    axes = ir.plots.attention(grid(("stage1", [np.full((2, 2), value)])))
    np.testing.assert_array_equal(axes[0, 0].images[0].get_array(), np.sign(value))


def test_the_caption_names_orange_only_if_a_pixel_is_blanked() -> None:
    some = ir.plots.attention(grid(("image", [IMAGE] * 2), ("restricted", [IMAGE, RESTRICTED])))
    none = ir.plots.attention(grid(("image", [IMAGE] * 2), ("restricted", [IMAGE, IMAGE])))
    assert "orange: pixels that restriction blanks" in caption(some)
    assert "orange" not in caption(none)
    assert "restriction blanks no pixel of these images" in caption(none)
