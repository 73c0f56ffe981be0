"""Networks and recipes by name: the paper's presets and recipes, the authors' weights."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
