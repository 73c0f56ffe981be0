"""What every figure must satisfy, whatever it draws."""

from __future__ import annotations

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import LineCollection, PathCollection, PolyCollection, QuadMesh
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

TOLERANCE = 1.5  # pixels: a point on the border is inside


def check_figure(figure: Figure) -> None:
    """Assert that no axes are empty, and that no data are drawn outside their axes."""
    figure.set_layout_engine("constrained")  # as in the package's style
    FigureCanvasAgg(figure).draw()
    shown = [ax for ax in figure.axes if ax.get_visible()]
    assert shown
    for ax in shown:
        drawn = [place for artist in ax.get_children() for place in places(artist, ax)]
        name = ax.get_xlabel() or ax.get_title() or str(ax)
        assert drawn or ax.texts or not ax.axison, f"empty axes: {name}"
        for place in drawn:
            assert inside(place, ax), f"outside the axes {name}: {place}"
        check_legend(ax)


def places(artist: Artist, ax: Axes) -> list[np.ndarray]:
    """The points of an artist that shows data, in pixels, (n, 2) each; none for other artists."""
    points: list[np.ndarray]
    if isinstance(artist, Line2D):
        points = [artist.get_transform().transform(artist.get_xydata())]
    elif isinstance(artist, PathCollection):
        offsets = np.ma.filled(np.ma.asarray(artist.get_offsets(), dtype=float), np.nan)
        points = [artist.get_offset_transform().transform(offsets)]
    elif isinstance(artist, (LineCollection, PolyCollection)):
        paths = artist.get_paths()
        points = [artist.get_transform().transform(path.vertices) for path in paths]
    elif isinstance(artist, QuadMesh):  # a colour bar
        points = [artist.get_transform().transform(artist.get_coordinates().reshape(-1, 2))]
    elif isinstance(artist, Patch) and artist not in (ax.patch, *ax.spines.values()):
        points = [artist.get_transform().transform(artist.get_path().vertices)]
    elif isinstance(artist, AxesImage):
        left, right, bottom, top = artist.get_extent()
        points = [artist.get_transform().transform([(left, bottom), (right, top)])]
    else:
        points = []
    finite = [each[np.isfinite(each).all(axis=1)] for each in points]
    return [each for each in finite if len(each)]


def inside(points: np.ndarray, ax: Axes) -> bool:
    """Whether points in pixels are within the axes."""
    box = ax.bbox
    low, high = (box.x0 - TOLERANCE, box.y0 - TOLERANCE), (box.x1 + TOLERANCE, box.y1 + TOLERANCE)
    return bool(((points >= low) & (points <= high)).all())


def check_legend(ax: Axes) -> None:
    """Assert that a legend names each series once, and is not empty."""
    legend = ax.get_legend()
    if legend is not None:
        names = [each.get_text() for each in legend.get_texts()]
        assert names
        assert len(set(names)) == len(names), names
