"""Experiment trackers: TensorBoard, MLflow, Weights & Biases.

>>> import ir2search as ir
>>> ir.run(ir.load_study("digits"), "runs/digits", observer=ir.trackers.MLflow())  # doctest: +SKIP

Each needs its own package, which an extra of the same name installs.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
