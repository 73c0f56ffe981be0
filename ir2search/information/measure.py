"""The loss of information by layer of a binary network, beside its full-precision twin."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from ir2search.data import ImageData
from ir2search.information.attributions import LayerAttribution, attribute
from ir2search.information.measures import (
    completeness_gap,
    cosine,
    entropy_bits,
    kept_share,
)
from ir2search.models.network import TappedNetwork
from ir2search.space import Candidate
from ir2search.training import EpochResult, Recipe, load_network, train
from ir2search.training.checkpoint import BEST


@dataclass(frozen=True)
class LayerInformation:
    """One layer's measures, each the mean over images.

    Attributes:
        layer: its name; ``"input"`` for the images.
        kept_share: of the attribution of the layer before, from 0 to 1; None for the input.
        twin_kept_share: the same in the full-precision twin.
        information_loss: twin_kept_share - kept_share: what this layer loses of the places that
            mattered before it, beyond what its twin loses there.
        entropy_bits: of the attribution over positions.
        twin_entropy_bits: the same in the twin.
        twin_similarity: cosine of the attribution maps of network and twin, from 0 to 1.
        completeness_gap: sum of attributions against the logit's change, relative; 0 is none.
        twin_completeness_gap: the same in the twin.
        bypass_share: of the absolute attribution that passes the layer by through taps.
    """

    layer: str
    kept_share: float | None
    twin_kept_share: float | None
    information_loss: float | None
    entropy_bits: float
    twin_entropy_bits: float
    twin_similarity: float
    completeness_gap: float
    twin_completeness_gap: float
    bypass_share: float


def measure(
    network: TappedNetwork,
    twin: TappedNetwork,
    images: Tensor,
    labels: Tensor,
    on_layer: Callable[[str], None] = lambda name: None,
) -> list[LayerInformation]:
    """Measure every layer of a network and of its twin on the same images.

    Args:
        network: trained, binary.
        twin: trained, of the same candidate without binarisation.
        images: (N, C, H, W) float, normalised, where both networks lie.
        labels: (N,) int64.
        on_layer: told each layer's name when it is done, once for each network.
    """
    own = attribute(network, images, labels, on_layer)
    others = attribute(twin, images, labels, on_layer)
    pairs = list(zip(own, others, strict=True))
    first = _row(None, pairs[0])
    return [first, *(_row(before, after) for before, after in itertools.pairwise(pairs))]


_Pair = tuple[LayerAttribution, LayerAttribution]


def _row(before: _Pair | None, after: _Pair) -> LayerInformation:
    own, twin = after
    kept = twin_kept = loss = None
    if before is not None:
        kept = float(kept_share(before[0].map, own.map).mean())
        twin_kept = float(kept_share(before[1].map, twin.map).mean())
        loss = twin_kept - kept
    own_sum = own.map.sum(dim=(1, 2))
    return LayerInformation(
        layer=own.layer,
        kept_share=kept,
        twin_kept_share=twin_kept,
        information_loss=loss,
        entropy_bits=float(entropy_bits(own.map).mean()),
        twin_entropy_bits=float(entropy_bits(twin.map).mean()),
        twin_similarity=float(cosine(own.map, twin.map).mean()),
        completeness_gap=completeness_gap(own.total, own.change),
        twin_completeness_gap=completeness_gap(twin.total, twin.change),
        bypass_share=float((own.bypassing / (own_sum + own.bypassing).clamp_min(1e-300)).mean()),
    )


def train_twin(
    candidate: Candidate,
    recipe: Recipe,
    data: ImageData,
    folder: Path,
    *,
    seed: int,
    device: torch.device,
    start: Mapping[str, Tensor] | None = None,
    on_epoch: Callable[[EpochResult], None] = lambda result: None,
    should_stop: Callable[[], bool] = lambda: False,
) -> TappedNetwork:
    """The candidate's full-precision twin, trained as it was, once: ``folder`` keeps it.

    Arguments are as for `train`; ``start`` is for the twin of a candidate that had one.

    Raises:
        TrainingDiverged: a loss was not finite.
        Interrupted: ``should_stop`` said so; the next call goes on.
    """
    twin = candidate.twin()
    train(
        twin,
        recipe,
        data,
        folder,
        seed=seed,
        start=start,
        device=device,
        on_epoch=on_epoch,
        should_stop=should_stop,
    )
    return load_network(twin, folder / BEST).to(device)
