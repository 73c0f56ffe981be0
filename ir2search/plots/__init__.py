"""Figures: a data frame in, matplotlib axes out.

>>> import ir2search as ir
>>> ax = ir.plots.front(ir.Run.open("runs/digits"))  # doctest: +SKIP
>>> ax.figure.savefig("front.pdf")  # doctest: +SKIP

Every function takes ``ax=`` to draw on (``axes=`` where a figure has several panels), and makes a
new figure without it.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
