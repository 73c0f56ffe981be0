"""Which attribution methods can be trusted on a network."""

from __future__ import annotations

import pandas as pd

# the second name is in the tables of older runs
SHUFFLED = ("similarity after randomisation", "likeness after randomisation")
MOST_SIMILAR = 0.5  # correlation of a trusted method with the maps of shuffled weights


def trust(table: pd.DataFrame) -> pd.DataFrame:
    """Which attribution methods can be trusted on the network, the most faithful first.

    A method is trusted if it passes two tests. First, the pixels that it ranks highest matter more
    than random pixels: insertion minus deletion is larger than for a random order, and the 95%
    interval of this difference is above 0. Second, its attributions depend on the weights: the 95%
    interval of their rank correlation with the attributions of shuffled weights is below 0.5.

    Args:
        table: as `ir2search.information.measure` returns it.

    Returns:
        A row for each ``method``: ``faithfulness``, the difference to a random order, with its
        ``low``; ``similarity`` to attributions of shuffled weights with its ``high``; ``trusted``.
    """
    by_method = table.dropna(subset="method").set_index("method")
    faithful = by_method[by_method["measure"] == "faithfulness beyond chance"]
    shuffled = by_method[by_method["measure"].isin(SHUFFLED)]
    result = pd.DataFrame(
        {
            "faithfulness": faithful["value"],
            "low": faithful["low"],
            "similarity": shuffled["value"],
            "high": shuffled["high"],
        }
    ).dropna()
    result["trusted"] = (result["low"] > 0) & (result["high"] < MOST_SIMILAR)
    return result.sort_values(["trusted", "faithfulness"], ascending=False).reset_index()
