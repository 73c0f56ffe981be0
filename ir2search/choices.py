"""The names of options, for the code that describes networks and the code that builds them."""

from __future__ import annotations

from typing import Literal

Precision = Literal["binary", "real"]
Estimator = Literal["polynomial", "straight-through", "tanh"]
Activation = Literal["hardtanh", "prelu", "rprelu"]
Normalization = Literal["map", "column"]
Fusion = Literal["none", "dense", "compact"]
