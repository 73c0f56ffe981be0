"""One training for a whole space: shared weights, and any network of the space out of them."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
