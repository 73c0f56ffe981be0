"""ir2search: which binary network gives the most accuracy for what a device can afford.

>>> import ir2search as ir
>>> price = ir.cost(ir.Candidate())
>>> price.bops
40108032

Names load on first use, and torch with them.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
