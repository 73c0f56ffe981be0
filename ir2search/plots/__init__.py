"""Figures: a run or a data frame in, matplotlib axes out.

>>> import ir2search as ir
>>> ax = ir.plots.front(ir.Run.open("runs/digits"))  # doctest: +SKIP
>>> ax.figure.savefig("front.pdf")  # doctest: +SKIP

`ir2search.plots.interactive` has twins of some of them that return plotly figures.

Functions that draw one figure take ``ax=`` (``axes=`` for several panels) and return the axes.
Without ``ax`` they make a new figure. A function whose name ends in ``_panels`` makes a whole
figure.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
