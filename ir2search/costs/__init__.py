"""What a candidate costs before it is trained: FLOPs, BOPs, OPs, parameters, memory, by layer."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
