"""Tables for the figures and the report, taken from the table of measures."""

from __future__ import annotations

import pandas as pd

from ir2search.measures.names import (
    ACCURACY_CHANGE,
    ATTENTION,
    BINARY,
    CEILING,
    GRAPH_NOISE,
    INFORMATION,
    INFORMATION_BEYOND_TWIN,
    INFORMATION_LOSS,
    LOCAL_NOISE,
    LOSS_CHANGE,
    PICTURE,
    PLAIN,
    RELEASED_OPS,
    TWIN,
    WHOLE,
)

LAYER_COLUMNS = {  # column of the table of layers: network and measure
    "information": (BINARY, INFORMATION),
    "twin_information": (TWIN, INFORMATION),
    "plain_information": (PLAIN, INFORMATION),
    "beyond_twin_bits": (BINARY, INFORMATION_BEYOND_TWIN),
    "plain_beyond_twin_bits": (PLAIN, INFORMATION_BEYOND_TWIN),
    "loss": (BINARY, INFORMATION_LOSS),
    "twin_loss": (TWIN, INFORMATION_LOSS),
    "plain_loss": (PLAIN, INFORMATION_LOSS),
    "attention_support": (BINARY, "effective support"),
    "twin_attention_support": (TWIN, "effective support"),
    "attention_similarity": (BINARY, "Spearman with the twin"),
    "cka": (BINARY, "linear CKA with the twin"),
    "graph_sqnr_db": (BINARY, GRAPH_NOISE),
}
SIGN_COLUMNS = {
    "sign_entropy": "sign entropy",
    "dead_channels": "dead channels",
    "quantisation_error": "quantisation error",
    "flipped_signs": "flipped signs",
    "local_sqnr_db": LOCAL_NOISE,
}
SWEPT_COLUMNS = {  # column of the table of sensitivity: network and measure
    "binarised_accuracy_points": (TWIN, ACCURACY_CHANGE),
    "binarised_loss_bits": (TWIN, LOSS_CHANGE),
    "released_accuracy_points": (BINARY, ACCURACY_CHANGE),
    "released_loss_bits": (BINARY, LOSS_CHANGE),
}


def layers_table(table: pd.DataFrame) -> pd.DataFrame:
    """A row for each layer, with three columns for each measure: its value and its interval.

    Columns:

    - ``layer``
    - ``information`` about the label that a linear probe reads from the layer, and its ``loss``
      across the layer, in bits; the prefix ``twin_`` stands for the full-precision twin, and
      ``plain_`` for the network without recovery
    - ``beyond_twin_bits``, the usable information less the twin's
    - ``information_ceiling_bits``, log2 of the number of classes; it has no interval
    - ``attention_support``, the share of positions that hold 90% of the attention, also with
      ``twin_``; ``attention_similarity``, Spearman's correlation with the twin's attention
    - ``cka`` with the twin's maps, from 0 to 1; ``graph_sqnr_db``, see
      `ir2search.information.noise_ratio`
    - for the input signs of the layer's first convolution: ``sign_entropy`` in bits, and the shares
      ``dead_channels``, ``quantisation_error`` and ``flipped_signs``; and ``local_sqnr_db``

    Columns that end in ``_low`` and ``_high`` hold the 95% interval over images.

    Args:
        table: as `ir2search.information.measure` returns it.
    """
    result = pd.DataFrame(index=layer_names(table))
    for column, (network, measure) in LAYER_COLUMNS.items():
        method = ATTENTION if "attention" in column else None
        result = result.join(_renamed(by_layer(table, network, measure, method), column))
    for column, measure in SIGN_COLUMNS.items():
        result = result.join(_renamed(_of_first_signs(table, measure), column))
    ceiling = table.loc[table["measure"] == CEILING, "value"]
    result["information_ceiling_bits"] = ceiling.iloc[0] if len(ceiling) else float("nan")
    return result.rename_axis("layer").reset_index()


def largest_part(swept: pd.DataFrame) -> pd.DataFrame:
    """One row for each layer: its weights and activations changed together, or its only change.

    ``swept`` is from `sensitivity_table`.
    """
    return swept.drop_duplicates("layer", keep="last")


def sensitivity_table(table: pd.DataFrame) -> pd.DataFrame:
    """A row for each change of precision: of each layer, each stage and the network, by part.

    Columns:

    - ``layer``, its ``kind`` (layer, stage or network), and the ``part`` that changes: weights,
      activations or both
    - ``binarised_accuracy_points`` and ``binarised_loss_bits``: how accuracy, in percentage points,
      and cross-entropy change if this part of the full-precision twin is binarised
    - ``released_accuracy_points`` and ``released_loss_bits``: the same if this part of the binary
      network is released to full precision; ``released_ops``, the OPs that this costs

    Columns that end in ``_low`` and ``_high`` hold the 95% interval over images.

    Args:
        table: as `ir2search.information.measure` returns it.
    """
    swept = table[table["measure"].isin([ACCURACY_CHANGE, LOSS_CHANGE])]
    keys = swept[["layer", "method"]].drop_duplicates()
    names = keys["layer"].tolist()
    result = keys.rename(columns={"method": "part"}).set_index(["layer", "part"])
    for column, (network, measure) in SWEPT_COLUMNS.items():
        found = swept[(swept["network"] == network) & (swept["measure"] == measure)]
        found = found.rename(columns={"method": "part"}).set_index(["layer", "part"])
        found = found[~found.index.duplicated()]
        result = result.join(_renamed(found[["value", "low", "high"]], column))
    result = result.reset_index()
    stages = {name.split(".", 1)[0] for name in names if "." in name}
    kinds = dict.fromkeys(names, "layer") | dict.fromkeys(stages, "stage") | {WHOLE: "network"}
    result.insert(1, "kind", [kinds[name] for name in names])
    ops = by_layer(table, BINARY, RELEASED_OPS)["value"]
    ops = ops[~ops.index.duplicated()]
    return result.assign(released_ops=result["layer"].map(ops).astype(float))


def by_layer(
    table: pd.DataFrame, network: str, measure: str, method: str | None = None
) -> pd.DataFrame:
    """``value``, ``low`` and ``high`` of a measure; the index is the layer, in order of depth.

    Args:
        table: as `ir2search.information.measure` returns it.
        network: ``"binary"``, ``"twin"`` or ``"no recovery"``.
        measure: name of the measure.
        method: attribution method or ``"attention"``; None for a measure without either.
    """
    chosen = table[(table["network"] == network) & (table["measure"] == measure)]
    chosen = chosen[chosen["method"].isna() if method is None else chosen["method"] == method]
    return chosen.set_index("layer")[["value", "low", "high"]]


def layer_names(table: pd.DataFrame) -> list[str]:
    """All layers of a table, in order of depth."""
    attention = table[(table["network"] == BINARY) & (table["method"] == ATTENTION)]
    return list(dict.fromkeys(attention["layer"]))


def completeness_gaps(table: pd.DataFrame) -> pd.DataFrame:
    """Completeness gaps of the binary network: a row for each layer, a column for each method."""
    gaps = table[(table["network"] == BINARY) & (table["measure"] == "completeness gap")]
    methods = list(dict.fromkeys(gaps["method"]))
    wide = gaps.pivot(index="layer", columns="method", values="value")
    return wide.reindex(index=layer_names(table), columns=methods)


def channel_entropies(table: pd.DataFrame) -> pd.DataFrame:
    """``layer`` and ``entropy`` in bits of every channel's sign."""
    found = table[table["measure"] == "channel entropy"]
    return found[["layer", "value"]].rename(columns={"value": "entropy"})


def attribution_flow(table: pd.DataFrame, method: str | None = None) -> pd.DataFrame:
    """The flow of a method's attribution: a row for each layer, see `ir2search.plots.flow`.

    The columns ``kept``, ``moved`` and ``bypassing`` add up to 1. The table is that of
    `ir2search.information.measure`; without a method, its first one is taken.
    """
    method = method or table.loc[table["measure"] == "bypass share", "method"].iloc[0]
    bypassing = by_layer(table, BINARY, "bypass share", method)["value"]
    kept = by_layer(table, BINARY, "kept share", method)["value"].reindex(bypassing.index)
    kept = (1 - bypassing) * kept.fillna(1.0)  # no layer is before the first one
    return pd.DataFrame({"kept": kept, "moved": 1 - bypassing - kept, "bypassing": bypassing})


def faithfulness_curves(table: pd.DataFrame) -> pd.DataFrame:
    """Deletion and insertion curves of every method, see `ir2search.plots.faithfulness`."""
    found = table[table["measure"].isin(["deletion curve", "insertion curve"])]
    steps = found.groupby(["measure", "method"])["item"].transform("max")
    return pd.DataFrame(
        {
            "curve": found["measure"].str.removesuffix(" curve"),
            "method": found["method"],
            "share": (found["item"] / steps).astype(float),
            "probability": found["value"],
        }
    )


def picture_grid(table: pd.DataFrame) -> pd.DataFrame:
    """The pictures of the attention grid, see `ir2search.plots.attention`."""
    found = table[table["measure"].str.startswith(PICTURE)]
    return pd.DataFrame(
        {
            "image": found["item"],
            "label": found["measure"].str.removeprefix(PICTURE),
            "title": found["layer"],
            "pixels": found["array"],
            "shape": found["shape"],
        }
    )


def _of_first_signs(table: pd.DataFrame, measure: str) -> pd.DataFrame:
    """A measure of the input signs of the first convolution in each layer, as in `by_layer`."""
    found = by_layer(table, BINARY, measure)
    found.index = found.index.str.rsplit(".", n=1).str[0]
    return found[~found.index.duplicated()]


def _renamed(found: pd.DataFrame, name: str) -> pd.DataFrame:
    return found.rename(columns={"value": name, "low": f"{name}_low", "high": f"{name}_high"})
