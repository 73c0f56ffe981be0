"""Images beside the attention of a network's layers."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from ir2search import escape
from ir2search.plots.style import new_axes


def attention(pictures: pd.DataFrame, *, axes: np.ndarray | None = None) -> np.ndarray:
    """Draw a grid of pictures: a row for each image, a column for each layer.

    Images are drawn as they are. Attention goes from dark to bright, each map on its own scale.

    Args:
        pictures: a row for each picture: number of the ``image``; its ``label``; ``title`` of the
            column; ``pixels``, flat, with their ``shape``: (h, w, 3) from 0 to 1 for an image,
            (h, w) for an attention map. All images have the same columns.
        axes: (images, columns) axes; a new figure if None.
    """
    if axes is None:
        rows, columns = grid_shape(pictures)
        axes = new_axes(grid_size(rows, columns), rows, columns)
    for line, (_, row) in zip(axes, pictures.groupby("image", sort=False), strict=True):
        for ax, pixels, shape in zip(line, row["pixels"], row["shape"], strict=True):
            _draw_picture(ax, np.asarray(pixels).reshape([int(side) for side in shape]))
        line[0].set_ylabel(escape.figure(row["label"].iloc[0]), fontsize=9)
    for ax, title in zip(axes[0], pictures["title"].unique(), strict=True):
        lines = escape.figure(title).replace(", ", ",\n").replace(" of ", "\nof ")
        ax.set_title(lines, fontsize=9)
    axes[0, 0].figure.supxlabel(
        "orange: blanked; dark to bright: attention, each map on its own scale", fontsize=9
    )
    return axes


def grid_shape(pictures: pd.DataFrame) -> tuple[int, int]:
    """Numbers of images and of columns."""
    return pictures["image"].nunique(), pictures["title"].nunique()


def grid_size(rows: int, columns: int) -> tuple[float, float]:
    """Width and height in inches of a figure with a grid of pictures."""
    return 1.25 * columns + 0.6, 1.3 * rows + 1.1


def _draw_picture(ax: Axes, picture: np.ndarray) -> None:
    ax.imshow(picture, cmap="cividis" if picture.ndim == 2 else None)
    ax.set(xticks=[], yticks=[])
    ax.grid(visible=False)
    for spine in ax.spines.values():
        spine.set_visible(False)
