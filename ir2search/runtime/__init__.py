"""Packed networks and the engine that runs them at 1 bit; needs numba and numpy, no torch."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
