"""The sensitivity sweep: change the precision of one layer at a time, and classify images.

Tools for 8 bits do so: Siddegowda et al., "Neural Network Quantization with AI Model Efficiency
Toolkit", arXiv 2201.08442, section 4. Each change shifts the statistics of the layers after it, so
their BatchNorms are calibrated again on training images: Wu and Johnson, "Rethinking 'Batch' in
BatchNorm", arXiv 2105.07576, section 3. The layers before a change are computed once for all
changes.
"""

from __future__ import annotations

import copy
import itertools
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.modules.batchnorm import _BatchNorm

from ir2search.information.chain import Chain
from ir2search.information.images import Images
from ir2search.information.interventions import Change
from ir2search.information.passes import frozen
from ir2search.models.network import TappedNetwork
from ir2search.nn import kernels_without_gradients

CALIBRATING = 256  # training images that BatchNorms are calibrated on
AT_ONCE = 64  # images in a pass: their maps stay in the cache of the processor

Intervention = Callable[[TappedNetwork, Change], AbstractContextManager[None]]


@dataclass(frozen=True)
class Classified:
    """How a network classifies images.

    Attributes:
        correct: (N,) float64, 1 where the label has the largest logit, else 0.
        loss: (N,) float64, cross-entropy in bits, -log2 p(label).
    """

    correct: np.ndarray
    loss: np.ndarray


def sweep(
    network: TappedNetwork,
    changes: Sequence[Change],
    intervene: Intervention,
    images: Images,
    calibrating: Images,
    at_once: int,
    on_pass: Callable[[str], None] = lambda layer: None,
) -> tuple[Classified, list[Classified]]:
    """Classify images with a network, and with each change of it.

    The network is not changed.

    Args:
        network: a trained network.
        changes: changes to make, each alone.
        intervene: a context in which a change of the network is made.
        images: images to classify.
        calibrating: training images for the BatchNorms; those of the unchanged network are
            calibrated too, so that only the change differs.
        at_once: number of images to classify in one pass, at most `AT_ONCE`. Passes for the
            BatchNorms always have `AT_ONCE` images, so that it does not change the result.
        on_pass: called with the layer of each change for each batch, `passes` times.

    Returns:
        The result of the unchanged network, and one for each change.
    """
    work = _Sweep(copy.deepcopy(network).eval().requires_grad_(False), changes, intervene, on_pass)
    with torch.no_grad(), kernels_without_gradients():
        work.calibrate([some for some, _ in calibrating.batches(AT_ONCE)])
        return work.classify(images.batches(min(AT_ONCE, at_once)))


def classified(network: TappedNetwork, images: Images, at_once: int) -> Classified:
    """Classify images with a network as it is, ``at_once`` images in a pass."""
    with frozen(network), torch.no_grad(), kernels_without_gradients():
        return _joined([_scores(network(some), labels) for some, labels in images.batches(at_once)])


def passes(changes: int, images: int, calibrating: int, at_once: int) -> int:
    """How often `sweep` calls ``on_pass``, for numbers of changes and images."""
    batches = -(-calibrating // AT_ONCE) + -(-images // min(AT_ONCE, at_once))
    return changes * batches


class _Sweep:
    """A network in evaluation mode, and the statistics of its BatchNorms for each change."""

    def __init__(
        self,
        network: TappedNetwork,
        changes: Sequence[Change],
        intervene: Intervention,
        on_pass: Callable[[str], None],
    ) -> None:
        self.network, self.changes = network, changes
        self.intervene, self.on_pass = intervene, on_pass
        self.chain = Chain(network)
        self.statistics: dict[Change | None, list[Tensor]] = {}

    def calibrate(self, batches: Sequence[Tensor]) -> None:
        """Find the statistics of the BatchNorms for the unchanged network and for each change."""
        every = _norms([self.network])
        _reset(every)
        self.statistics[None] = _copied(every)
        for images in batches:
            _restore(every, self.statistics[None])
            with _training(every):
                maps, _ = self.chain.maps(images)
            self.statistics[None] = _copied(every)
            for change in self.changes:
                norms = self._norms_after(change)
                if change in self.statistics:
                    _restore(norms, self.statistics[change])
                else:
                    _reset(norms)
                with _training(norms):
                    self._logits(change, maps)
                self.statistics[change] = _copied(norms)

    def classify(
        self, batches: Iterable[tuple[Tensor, Tensor]]
    ) -> tuple[Classified, list[Classified]]:
        """The results of the unchanged network and of each change."""
        own: list[Tensor] = []
        changed: list[list[Tensor]] = [[] for _ in self.changes]
        for images, labels in batches:
            _restore(_norms([self.network]), self.statistics[None])
            maps, logits = self.chain.maps(images)
            own.append(_scores(logits, labels))
            for change, found in zip(self.changes, changed, strict=True):
                _restore(self._norms_after(change), self.statistics[change])
                found.append(_scores(self._logits(change, maps), labels))
        return _joined(own), [_joined(found) for found in changed]

    def _logits(self, change: Change, maps: dict[str, Tensor]) -> Tensor:
        """Logits of the changed network, from the maps of the cut before the first change."""
        names = list(self.chain.cuts)
        cut = self.chain.cuts[names[names.index(change.first) - 1]]  # the input is the first
        with self.intervene(self.network, change):
            logits: Tensor = self.chain.after(cut)(*(maps[name] for name in cut.names))
        self.on_pass(change.layer)
        return logits

    def _norms_after(self, change: Change) -> list[_BatchNorm]:
        """The BatchNorms that a change affects: those of its first unit and all after it."""
        units = list(self.chain.units)
        later = units[units.index(change.first) :]
        network = self.network
        return _norms([*map(network.get_submodule, later), network.recovery, network.head])


def _norms(modules: Iterable[nn.Module]) -> list[_BatchNorm]:
    """The BatchNorms in modules that have running statistics."""
    every = itertools.chain.from_iterable(module.modules() for module in modules)
    return [each for each in every if isinstance(each, _BatchNorm) and each.track_running_stats]


def _reset(norms: Iterable[_BatchNorm]) -> None:
    for norm in norms:
        norm.reset_running_stats()


@contextmanager
def _training(norms: Sequence[_BatchNorm]) -> Iterator[None]:
    """Use and average the statistics of batches inside this context, all with the same weight."""
    before = [norm.momentum for norm in norms]
    for norm in norms:
        norm.momentum = None
        norm.train()
    try:
        yield
    finally:
        for norm, momentum in zip(norms, before, strict=True):
            norm.momentum = momentum
            norm.eval()


def _copied(norms: Iterable[_BatchNorm]) -> list[Tensor]:
    return [buffer.clone() for norm in norms for buffer in norm.buffers()]


def _restore(norms: Iterable[_BatchNorm], statistics: Sequence[Tensor]) -> None:
    buffers = (buffer for norm in norms for buffer in norm.buffers())
    for buffer, value in zip(buffers, statistics, strict=True):
        buffer.copy_(value)


def _scores(logits: Tensor, labels: Tensor) -> Tensor:
    """Whether each image is correct, and its loss in bits: (n, 2) float64."""
    loss = functional.cross_entropy(logits.double(), labels, reduction="none") / math.log(2)
    return torch.stack([(logits.argmax(dim=1) == labels).double(), loss], dim=1).cpu()


def _joined(scores: Sequence[Tensor]) -> Classified:
    correct, loss = torch.cat(list(scores)).numpy().T
    return Classified(correct, loss)
