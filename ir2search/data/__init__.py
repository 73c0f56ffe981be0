"""Image data sets: reading, splits, cache, and batches from memory or streamed from disk."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
