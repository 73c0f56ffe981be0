"""Images beside the attention of a network's layers."""

from __future__ import annotations

import numpy as np
import pandas as pd

from ir2search import escape
from ir2search.measures.tables import picture_grid
from ir2search.plots.sources import AnalysisData, of_analysis
from ir2search.plots.style import new_axes

SMALL = 9  # points


def attention(
    pictures: AnalysisData, trial: str = "best", *, axes: np.ndarray | None = None
) -> np.ndarray:
    """Draw a grid of pictures: a row for each image, a column for each layer.

    Images are drawn as they are. Attention is drawn as a multiple of the map's mean, as restriction
    compares it with its threshold. The maps of a column have one scale, which is below them.

    Args:
        pictures: an analysis, a run with one, or a row for each picture: number of the
            ``image``; its ``label``; ``title`` of the column; ``pixels``, flat, with their
            ``shape``: (h, w, 3) from 0 to 1 for an image, (h, w) for an attention map. All images
            have the same columns. The first column is the image; another image in its row is the
            same with blanked pixels in orange.
        trial: ``"best"``, ``"knee"`` or the number of a trial of the run.
        axes: (images, columns) axes; a new figure if None.

    Raises:
        RunError: the trial was not analysed.
    """
    pictures = of_analysis(pictures, trial, picture_grid, pictures=True)
    if axes is None:
        rows, columns = grid_shape(pictures)
        axes = new_axes(grid_size(rows, columns), rows, columns)
    grid = [_arrays(rows) for _, rows in pictures.groupby("image", sort=False)]
    for column, line in zip(axes.T, zip(*grid, strict=True), strict=True):
        _draw_column(column, line)
    labels = pictures.groupby("image", sort=False)["label"].first()
    for ax, label in zip(axes[:, 0], labels, strict=True):
        ax.set_ylabel(escape.figure(label), fontsize=SMALL)
    for ax, title in zip(axes[0], pictures["title"].unique(), strict=True):
        lines = escape.figure(title).replace(", ", ",\n").replace(" of ", "\nof ")
        ax.set_title(lines, fontsize=SMALL)
    axes[0, 0].figure.supxlabel(_caption(grid), fontsize=SMALL)
    return axes


def grid_shape(pictures: pd.DataFrame) -> tuple[int, int]:
    """Numbers of images and of columns."""
    return pictures["image"].nunique(), pictures["title"].nunique()


def grid_size(rows: int, columns: int) -> tuple[float, float]:
    """Width and height in inches of a figure with a grid of pictures."""
    return 1.25 * columns + 0.6, 1.3 * rows + 1.5


def _arrays(rows: pd.DataFrame) -> list[np.ndarray]:
    """The pictures of an image: (h, w, 3) images, (h, w) multiples of the mean attention."""
    shaped = [
        np.asarray(pixels).reshape([int(side) for side in shape])
        for pixels, shape in zip(rows["pixels"], rows["shape"], strict=True)
    ]
    return [each if each.ndim == 3 else each / (each.mean() or 1.0) for each in shaped]


def _draw_column(column: np.ndarray, pictures: tuple[np.ndarray, ...]) -> None:
    """Draw pictures below each other; attention maps share a scale."""
    low = min(map(np.min, pictures))
    high = max(low + 0.01, *map(np.max, pictures))  # constant maps have a scale too
    for ax, picture in zip(column, pictures, strict=True):
        drawn = ax.imshow(picture, cmap="cividis", vmin=low, vmax=high)  # colours have no scale
        ax.set(xticks=[], yticks=[])
        ax.grid(visible=False)
        for spine in ax.spines.values():
            spine.set_visible(False)
    if pictures[0].ndim == 2:
        bar = column[0].figure.colorbar(
            drawn, ax=list(column), location="bottom", aspect=12, pad=0.01
        )
        bar.set_ticks([low, high], labels=[f"{low:.2f}", f"{high:.2f}"], fontsize=SMALL - 1)
        for label, side in zip(bar.ax.get_xticklabels(), ("left", "right"), strict=True):
            label.set_horizontalalignment(side)


def _caption(grid: list[list[np.ndarray]]) -> str:
    """What the colours mean, and whether a pixel is blanked."""
    images = [[each for each in line if each.ndim == 3] for line in grid]
    lines = ["scales: attention as a multiple of the map's mean"]
    if any(np.any(other != line[0]) for line in images for other in line[1:]):
        lines.append("orange: pixels that restriction blanks")
    elif any(len(line) > 1 for line in images):
        lines.append("restriction blanks no pixel of these images")
    return "\n".join(lines)
