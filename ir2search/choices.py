"""The names that the options of a network can have."""

from __future__ import annotations

from typing import Literal

Precision = Literal["binary", "real"]
InputPrecision = Literal["binary", "int8", "real"]
StemKind = Literal["real", "int8", "thermometer"]
Estimator = Literal["polynomial", "straight-through", "tanh"]
Activation = Literal["hardtanh", "prelu", "rprelu"]
Normalization = Literal["map", "column"]
Fusion = Literal["none", "dense", "compact"]
