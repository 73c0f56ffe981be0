"""Packed networks and the runtime that runs them at 1 bit, with numpy and numba, without torch."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
