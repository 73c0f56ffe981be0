"""ir2search: find the binary networks with the best accuracy for a device's budget.

>>> import ir2search as ir
>>> price = ir.cost(ir.Candidate())
>>> price.bops
40108032

Names are imported at first use; torch is imported with them.
"""

import logging
from typing import Any

import lazy_loader

from .openmp import wait_passively

wait_passively()  # before torch is loaded

# Silent until the user of the library adds a handler of their own.
logging.getLogger(__name__).addHandler(logging.NullHandler())

_public_name, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        return version(__name__)
    return _public_name(name)
