"""Clocks: what is called, turn by turn, and what the engine takes for a network."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
