"""Names in the table of an analysis: of its columns, networks, methods and measures."""

from __future__ import annotations

COLUMNS = (
    "network", "layer", "method", "surrogate", "measure", "item", "unit", "value", "low", "high",
    "array", "shape",
)  # fmt: skip
BINARY, TWIN, PLAIN = "binary", "twin", "no recovery"  # the networks
WHOLE = "network"  # the layer of a measure of the whole network
RANDOM_ORDER = "random order"  # the method of curves for pixels in a random order
ATTENTION = "attention"  # the method of measures of attention maps, as IR²Net defines them
INFORMATION, INFORMATION_LOSS = "usable information", "information loss"
INFORMATION_BEYOND_TWIN = "usable information beyond the twin"
CEILING = "ceiling of information"
ACCURACY, ACCURACY_BEYOND_TWIN = "accuracy", "accuracy beyond the twin"
ACCURACY_CHANGE, LOSS_CHANGE = "accuracy change", "loss change"
LOCAL_NOISE, GRAPH_NOISE = "local SQNR", "graph-wise SQNR"
RELEASED_OPS = "OPs of the release"
PICTURE = "picture of "  # the measure of a picture: this, and the label of its image
