"""Packed networks and the runtime that runs them at 1 bit, in compiled C, without torch."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
