"""Figures: a run or a data frame in, matplotlib axes out.

>>> import ir2search as ir
>>> ax = ir.plots.front(ir.Run.open("runs/digits"))  # doctest: +SKIP
>>> ax.figure.savefig("front.pdf")  # doctest: +SKIP

`ir2search.plots.interactive` has twins of some of them that return plotly figures.

Every function takes ``ax=`` to draw on (``axes=`` if a figure has several panels), makes a new
figure if it is None, and returns the axes.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
