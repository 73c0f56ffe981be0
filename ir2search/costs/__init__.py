"""The cost of an untrained candidate: FLOPs, BOPs, OPs, parameters and memory, by layer."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
