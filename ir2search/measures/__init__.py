"""The table of an analysis: names of its rows, its file, and tables of layers made from it.

`ir2search.information` measures it; figures and reports read it.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
