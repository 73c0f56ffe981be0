"""A study: its file, its objectives, the loop that asks, trains and tells, and its results."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
