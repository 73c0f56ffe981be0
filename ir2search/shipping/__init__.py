"""Networks as files for devices, and what they take there: export, model cards, latency."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
