from __future__ import annotations

import numpy as np
import pandas as pd

import ir2search as ir


def test_each_image_is_a_row_of_pictures() -> None:
    picture = np.linspace(0, 1, 12).reshape(2, 2, 3)
    attention = np.array([[1.0, 2.0], [3.0, 4.0]])
    pictures = pd.DataFrame(
        [
            {
                "image": image, "label": f"digit {image}", "title": title,
                "pixels": values.flatten().tolist(), "shape": list(values.shape),
            }
            for image in (0, 1)
            for title, values in (("image", picture), ("stage1 of the twin", attention))
        ]
    )  # fmt: skip
    axes = ir.plots.attention(pictures)
    assert axes.shape == (2, 2)
    np.testing.assert_array_equal(axes[1, 0].images[0].get_array(), picture)
    np.testing.assert_array_equal(axes[1, 1].images[0].get_array(), attention)
    assert [ax.get_title() for ax in axes[0]] == ["image", "stage1\nof the twin"]
    assert [ax.get_ylabel() for ax in axes[:, 0]] == ["digit 0", "digit 1"]
