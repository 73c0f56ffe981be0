"""Measures as rows of one table, with their intervals over images.

In all functions, ``about`` has the first columns of the rows, and ``resampled`` the resampled
images. Layers are in order of depth.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ir2search.information.attributions import LayerAttribution
from ir2search.information.bits import SignBits, channel_entropy
from ir2search.information.faithfulness import Faithfulness
from ir2search.information.intervals import Bootstrap, Estimate
from ir2search.information.map_measures import (
    cosine,
    effective_support,
    entropy_bits,
    gram,
    kept_share,
    linear_cka,
    spearman,
    ssim,
)
from ir2search.information.probes import Probe
from ir2search.information.registered import measured
from ir2search.measures.names import (
    ACCURACY_BEYOND_TWIN,
    ACCURACY_CHANGE,
    ATTENTION,
    CEILING,
    GRAPH_NOISE,
    INFORMATION,
    INFORMATION_BEYOND_TWIN,
    INFORMATION_LOSS,
    LOCAL_NOISE,
    LOSS_CHANGE,
    PICTURE,
    RELEASED_OPS,
)
from ir2search.nn import attention_map

UNITS = {
    "attribution entropy": "bits",
    INFORMATION: "bits",
    "usable information by seed": "bits",
    INFORMATION_LOSS: "bits",
    INFORMATION_BEYOND_TWIN: "bits",
    "channel entropy": "bits",
    "sign entropy": "bits",
    "infidelity": "logit²",
    "sensitivity": "ratio",
    ACCURACY_BEYOND_TWIN: "points",
    ACCURACY_CHANGE: "points",
    LOSS_CHANGE: "bits",
    LOCAL_NOISE: "dB",
    GRAPH_NOISE: "dB",
    RELEASED_OPS: "OPs",
    CEILING: "bits",
}
SATURATED = 0.99  # a channel is saturated if more of its values are clipped
Row = dict[str, Any]


def of_attributions(
    about: Row, layers: Sequence[LayerAttribution], resampled: Bootstrap
) -> Iterator[Row]:
    """Measures of a network's attributions by one method.

    The completeness gap is mean |total - change| / mean |change|. It is 0 in a smooth network
    (completeness axiom: Sundararajan et al., ICML 2017, section 3).
    """
    for layer, kept in zip(layers, kept_shares(layers), strict=True):
        here = about | {"layer": layer.layer}
        own = layer.map.sum(dim=(1, 2))
        bypass = layer.bypassing / (own + layer.bypassing).clamp_min(1e-300)
        gap, change = _numpy((layer.total - layer.change).abs(), layer.change.abs())
        yield from _of_maps(here, layer.map, resampled)
        yield row(here, "bypass share", resampled.mean(*_numpy(bypass)))
        yield row(here, "completeness gap", resampled.ratio(gap, change))
        if kept is not None:
            yield row(here, "kept share", resampled.mean(kept))


def of_both_attributions(
    about: Row,
    own: Sequence[LayerAttribution],
    twin: Sequence[LayerAttribution],
    resampled: Bootstrap,
) -> Iterator[Row]:
    """Measures of the difference between a network's attributions and its twin's."""
    shares = zip(kept_shares(own), kept_shares(twin), strict=True)
    for one, other, (kept, twin_kept) in zip(own, twin, shares, strict=True):
        here = about | {"layer": one.layer}
        yield from _similarity(here, one.map, other.map, resampled)
        if kept is not None and twin_kept is not None:
            yield row(here, "attribution loss", resampled.mean(twin_kept - kept))


def kept_shares(layers: Sequence[LayerAttribution]) -> list[np.ndarray | None]:
    """Share (N,) of attribution at the positions of the layer before; None for the first layer."""
    pairs = itertools.pairwise(layers)
    return [None, *(kept_share(before.map, after.map).cpu().numpy() for before, after in pairs)]


def of_attention(about: Row, maps: Tensor, resampled: Bootstrap) -> Iterator[Row]:
    """Measures of the spread of a layer's attention, as IR²Net defines it."""
    yield from _of_maps(about | {"method": ATTENTION}, attention_map(maps), resampled)


def of_registered(about: Row, maps: Tensor, resampled: Bootstrap) -> Iterator[Row]:
    """Registered measures of a layer's maps."""
    for name, unit, values in measured(maps):
        yield row(about, name, resampled.mean(values.numpy())) | {"unit": unit}


def of_both_maps(about: Row, own: Tensor, twin: Tensor, resampled: Bootstrap) -> Iterator[Row]:
    """Measures of the difference between a layer's maps and the twin's."""
    yield from _similarity(
        about | {"method": ATTENTION}, attention_map(own), attention_map(twin), resampled
    )
    one, other = gram(own).cpu(), gram(twin).cpu()
    found = resampled.gram_ratio(one.numpy(), other.numpy(), linear_cka(one, other))
    yield row(about, "linear CKA with the twin", found)


def of_signs(about: Row, found: SignBits, resampled: Bootstrap) -> Iterator[Row]:
    """Measures of the input signs of a binary convolution."""
    here = about | {"layer": found.layer}
    positive, clipped = _numpy(found.positive, found.clipped)

    def entropy(shares: np.ndarray) -> np.ndarray:
        values: np.ndarray = channel_entropy(torch.from_numpy(shares)).mean(dim=-1).numpy()
        return values

    def constant(shares: np.ndarray) -> np.ndarray:
        return ((shares < 1e-12) | (shares > 1 - 1e-12)).mean(axis=-1)

    def saturated(shares: np.ndarray) -> np.ndarray:
        return (shares > SATURATED).mean(axis=-1)

    yield row(here, "sign entropy", resampled.of_mean(positive, entropy))
    yield row(here, "dead channels", resampled.of_mean(positive, constant))
    yield row(here, "saturated channels", resampled.of_mean(clipped, saturated))
    yield row(here, "flipped signs", resampled.mean(*_numpy(found.flipped)))
    yield row(here, "quantisation error", resampled.mean(*_numpy(found.input_error)))
    yield row(here, "quantisation error after", resampled.mean(*_numpy(found.output_error)))
    by_channel = channel_entropy(found.positive.double().mean(dim=0))
    for channel, value in enumerate(by_channel.tolist()):
        yield row(here | {"item": channel}, "channel entropy", Estimate(value))


def of_probes(about: Row, probes: Sequence[Probe], resampled: Bootstrap) -> Iterator[Row]:
    """Usable information of each layer, and its loss from one layer to the next."""
    for found in probes:
        here = about | {"layer": found.layer}
        yield row(here, INFORMATION, resampled.mean(found.bits.mean(axis=0)))
        for number, bits in enumerate(found.bits):
            value = Estimate(float(np.nanmean(bits)))
            yield row(here | {"item": number}, "usable information by seed", value)
    for before, after in itertools.pairwise(probes):
        lost = (before.bits - after.bits).mean(axis=0)
        yield row(about | {"layer": after.layer}, INFORMATION_LOSS, resampled.mean(lost))


def of_both_probes(
    about: Row, own: Sequence[Probe], twin: Sequence[Probe], resampled: Bootstrap
) -> Iterator[Row]:
    """Usable information of each layer less the twin's, on the same images."""
    bits = {found.layer: found.bits for found in twin}
    for found in own:
        if found.layer in bits:
            beyond = (found.bits - bits[found.layer]).mean(axis=0)
            yield row(
                about | {"layer": found.layer}, INFORMATION_BEYOND_TWIN, resampled.mean(beyond)
            )


def of_faithfulness(
    about: Row, found: Faithfulness, at_random: Faithfulness, resampled: Bootstrap
) -> Iterator[Row]:
    """Measures of the faithfulness of a method's attributions to pixels."""
    here = about | {"layer": "input", "method": found.method}
    yield row(here, "deletion AUC", resampled.mean(*_numpy(_area(found.deletion))))
    yield row(here, "insertion AUC", resampled.mean(*_numpy(_area(found.insertion))))
    beyond = (found.insertion - found.deletion) - (at_random.insertion - at_random.deletion)
    yield row(here, "faithfulness beyond chance", resampled.mean(*_numpy(_area(beyond))))
    for name in ("deletion", "insertion"):
        for step, value in enumerate(getattr(found, name).mean(dim=0).tolist()):
            yield row(here | {"item": step}, f"{name} curve", Estimate(value))
    for name, values in (
        ("infidelity", found.infidelity),
        ("sensitivity", found.sensitivity),
        ("similarity after randomisation", found.randomised),
    ):
        if values is not None:
            yield row(here, name, resampled.mean(*_numpy(values)))


def _area(curves: Tensor) -> Tensor:
    """Areas under curves (N, points) over the shares of pixels from 0 to 1, by trapezoids (N,)."""
    return torch.trapezoid(curves, dx=1 / (curves.shape[1] - 1), dim=1)


def picture(about: Row, name: str, values: np.ndarray) -> Row:
    """A row that holds a picture, (h, w) or (h, w, 3)."""
    flat = np.asarray(values, dtype=np.float32)
    drawn = {"array": flat.flatten().tolist(), "shape": list(flat.shape)}
    return row(about, f"{PICTURE}{name}", Estimate(np.nan)) | drawn


def row(about: Row, measured: str, estimate: Estimate) -> Row:
    """The row of one measure."""
    return {
        "unit": UNITS.get(measured, "share"),
        **about,
        "measure": measured,
        "value": estimate.value,
        "low": estimate.low,
        "high": estimate.high,
    }


def _of_maps(about: Row, maps: Tensor, resampled: Bootstrap) -> Iterator[Row]:
    yield row(about, "attribution entropy", resampled.mean(*_numpy(entropy_bits(maps))))
    yield row(about, "effective support", resampled.mean(*_numpy(effective_support(maps))))


def _similarity(about: Row, own: Tensor, other: Tensor, resampled: Bootstrap) -> Iterator[Row]:
    for name, similarity in (("cosine", cosine), ("Spearman", spearman), ("SSIM", ssim)):
        yield row(about, f"{name} with the twin", resampled.mean(*_numpy(similarity(own, other))))


def _numpy(*tensors: Tensor) -> list[np.ndarray]:
    return [tensor.detach().cpu().numpy() for tensor in tensors]
