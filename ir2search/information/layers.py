"""The table of measures as people read it: a row for each layer."""

from __future__ import annotations

import pandas as pd

from ir2search.information.measure import BINARY, PLAIN, TWIN
from ir2search.information.rows import ATTENTION

COLUMNS = {  # of the layers' table: network and measure
    "information": (BINARY, "usable information"),
    "twin_information": (TWIN, "usable information"),
    "plain_information": (PLAIN, "usable information"),
    "loss": (BINARY, "information loss"),
    "twin_loss": (TWIN, "information loss"),
    "attention_support": (BINARY, "effective support"),
    "attention_likeness": (BINARY, "Spearman with the twin"),
    "cka": (BINARY, "linear CKA with the twin"),
}
OF_SIGNS = {
    "sign_entropy": "sign entropy",
    "dead_channels": "dead channels",
    "quantisation_error": "quantisation error",
}


def of(table: pd.DataFrame, network: str, measure: str, method: str | None = None) -> pd.DataFrame:
    """Value and interval of a measure by layer, in order of depth.

    Args:
        table: of `ir2search.information.measure`.
        network: ``"binary"``, ``"twin"`` or ``"no recovery"``.
        measure: its name.
        method: of attribution, or ``"attention"``; None for what is not of a map.
    """
    chosen = table[(table["network"] == network) & (table["measure"] == measure)]
    chosen = chosen[chosen["method"].isna() if method is None else chosen["method"] == method]
    return chosen.set_index("layer")[["value", "low", "high"]]


def of_signs(table: pd.DataFrame, measure: str) -> pd.DataFrame:
    """As `of`, a measure of the first signs that each layer of the binary network takes."""
    found = of(table, BINARY, measure)
    found.index = found.index.str.rsplit(".", n=1).str[0]
    return found[~found.index.duplicated()]


def layer_names(table: pd.DataFrame) -> list[str]:
    """All layers of a table in order of depth."""
    attention = table[(table["network"] == BINARY) & (table["method"] == ATTENTION)]
    return list(dict.fromkeys(attention["layer"]))


def layers_table(table: pd.DataFrame) -> pd.DataFrame:
    """A row for each layer, and for each measure three columns: it, and its interval.

    ``layer``; ``information`` that a linear probe can read, in bits, of the network, its twin and
    itself without recovery; ``loss`` of it across the layer; ``attention_support`` and
    ``attention_likeness`` (Spearman) to the twin's, from 0 or -1 to 1; ``cka`` with the twin; of
    the layer's first sign ``sign_entropy`` (bits), ``dead_channels`` and ``quantisation_error``.
    Columns ending in ``_low`` and ``_high`` are the 95% interval over images.
    """
    result = pd.DataFrame(index=layer_names(table))
    for column, (network, measure) in COLUMNS.items():
        method = ATTENTION if column.startswith("attention") else None
        result = result.join(_columns(of(table, network, measure, method), column))
    for column, measure in OF_SIGNS.items():
        result = result.join(_columns(of_signs(table, measure), column))
    return result.rename_axis("layer").reset_index()


def _columns(found: pd.DataFrame, name: str) -> pd.DataFrame:
    return found.rename(columns={"value": name, "low": f"{name}_low", "high": f"{name}_high"})
