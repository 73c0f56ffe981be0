"""What a candidate costs before it is trained: FLOPs, BOPs, OPs, parameters, memory, by layer."""

from ir2search.costs.count import Cost, LayerCost, cost

__all__ = ["Cost", "LayerCost", "cost"]
