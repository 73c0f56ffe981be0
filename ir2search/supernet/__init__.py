"""One training for a whole space: every network of the space takes its part of shared weights."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
