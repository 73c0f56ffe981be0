"""What each layer of a trained network keeps and loses: attributions and measures of them."""

from ir2search.information.attributions import Cut, LayerAttribution, attribute, cuts
from ir2search.information.measure import LayerInformation, measure, train_twin

__all__ = [
    "Cut",
    "LayerAttribution",
    "LayerInformation",
    "attribute",
    "cuts",
    "measure",
    "train_twin",
]
