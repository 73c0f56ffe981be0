"""Figures: a run or a data frame in, matplotlib axes out.

>>> import ir2search as ir
>>> ax = ir.plots.front(ir.Run.open("runs/digits"))  # doctest: +SKIP
>>> ax.figure.savefig("front.pdf")  # doctest: +SKIP

`ir2search.plots.interactive` has twins of some of them that return plotly figures.

Functions that draw one figure take ``ax=`` (``axes=`` for several panels), make a new figure if it
is None, and return the axes. Functions with names in ``_panels`` make a whole figure.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
