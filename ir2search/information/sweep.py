"""The sensitivity sweep: change the precision of one layer at a time, and classify images.

Tools for 8-bit quantisation use the same method: Siddegowda et al., "Neural Network Quantization
with AI Model Efficiency Toolkit", arXiv 2201.08442, section 4. A change shifts the maps after it,
so the BatchNorms there need other statistics: Wu and Johnson, "Rethinking 'Batch' in BatchNorm",
arXiv 2105.07576, section 3. These are measured on a few training images, with the change and
without it. The difference is added to the network's own statistics, which come from many more
images. The layers before a change are computed once for all changes.
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
from ir2search.information.parallel import StepDone, parts_at_once, run_parts
from ir2search.information.passes import frozen
from ir2search.models.network import TappedNetwork
from ir2search.nn import keep_memory, kernels_without_gradients

CALIBRATING = 256  # training images that BatchNorms are calibrated on
AT_ONCE = 64  # images in a pass: their maps stay in the cache of the processor

Intervention = Callable[[TappedNetwork, Change], AbstractContextManager[None]]
_Statistics = dict[_BatchNorm, list[Tensor]]  # running mean, running variance, number of batches


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
    on_pass: StepDone = lambda layer: None,
) -> tuple[Classified, list[Classified]]:
    """Classify images with a network, and with each change of it.

    The network is not changed.

    Args:
        network: a trained network.
        changes: changes to make, each alone.
        intervene: a context in which a change of the network is made.
        images: images to classify.
        calibrating: training images for the BatchNorms. The unchanged network keeps its own
            statistics.
        at_once: number of images whose maps fit into the memory. A pass has at most `AT_ONCE` of
            them; if more fit, several changes are made at the same time. Passes for the BatchNorms
            always have `AT_ONCE` images, so that it does not change the result.
        on_pass: called with the layer of each change for each batch, `passes` times.

    Returns:
        The result of the unchanged network, and one for each change.
    """
    device = next(network.parameters()).device
    count = parts_at_once(device, min(at_once // AT_ONCE, len(changes)))
    parts = [
        (copy.deepcopy(network).eval().requires_grad_(False), changes[first::count])
        for first in range(count)
    ]

    def part(
        given: tuple[TappedNetwork, Sequence[Change]], on_pass: StepDone
    ) -> tuple[Classified, list[Classified]]:
        work = _Sweep(*given, intervene, on_pass)
        with torch.no_grad(), kernels_without_gradients():
            work.calibrate([some for some, _ in calibrating.batches(AT_ONCE)])
            return work.classify(images.batches(min(AT_ONCE, at_once)))

    keep_memory()
    (own, _), *_ = found = run_parts(part, parts, on_pass, device)
    return own, [found[number % count][1][number // count] for number in range(len(changes))]


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
        on_pass: StepDone,
    ) -> None:
        self.network, self.changes = network, changes
        self.intervene, self.on_pass = intervene, on_pass
        self.chain = Chain(network)
        self.own = _copied(_norms([network]))
        self.statistics: dict[Change, _Statistics] = {}

    def calibrate(self, batches: Sequence[Tensor]) -> None:
        """Find the statistics of the BatchNorms for each change."""
        unchanged = _fresh(self.own)
        for images in batches:
            _restore(unchanged)
            with _training(unchanged):
                maps, _ = self.chain.maps(images)
            unchanged = _copied(unchanged)
            for change in self.changes:
                found = self.statistics.get(change) or _fresh(self._norms_after(change))
                _restore(found)
                with _training(found):
                    self._logits(change, maps)
                self.statistics[change] = _copied(found)
        for change, found in self.statistics.items():
            self.statistics[change] = {
                norm: _shifted(self.own[norm], unchanged[norm], calibrated)
                for norm, calibrated in found.items()
            }

    def classify(
        self, batches: Iterable[tuple[Tensor, Tensor]]
    ) -> tuple[Classified, list[Classified]]:
        """The results of the unchanged network and of each change."""
        own: list[Tensor] = []
        changed: list[list[Tensor]] = [[] for _ in self.changes]
        for images, labels in batches:
            _restore(self.own)
            maps, logits = self.chain.maps(images)
            own.append(_scores(logits, labels))
            for change, found in zip(self.changes, changed, strict=True):
                _restore(self.statistics[change])
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


def _copied(norms: Iterable[_BatchNorm]) -> _Statistics:
    return {norm: [buffer.clone() for buffer in norm.buffers()] for norm in norms}


def _fresh(norms: Iterable[_BatchNorm]) -> _Statistics:
    """The statistics of BatchNorms that have seen no batch; they have them now."""
    norms = list(norms)
    for norm in norms:
        norm.reset_running_stats()
    return _copied(norms)


def _restore(statistics: _Statistics) -> None:
    for norm, values in statistics.items():
        for buffer, value in zip(norm.buffers(), values, strict=True):
            buffer.copy_(value)


def _shifted(own: list[Tensor], unchanged: list[Tensor], changed: list[Tensor]) -> list[Tensor]:
    """A BatchNorm's own statistics, moved as a change moves those of the calibrating images.

    After the change they differ from those of the calibrating images as before: by the same number
    of standard deviations in the mean, and by the same factor in the variance.
    """
    mean, variance, count = own
    ratio = torch.where(unchanged[1] > 0, changed[1] / unchanged[1], 1.0)  # 0: a constant channel
    return [changed[0] + (mean - unchanged[0]) * ratio.sqrt(), variance * ratio, count]


@contextmanager
def _training(norms: Iterable[_BatchNorm]) -> Iterator[None]:
    """Use and average the statistics of batches inside this context, all with the same weight."""
    before = {norm: norm.momentum for norm in norms}
    for norm in before:
        norm.momentum = None
        norm.train()
    try:
        yield
    finally:
        for norm, momentum in before.items():
            norm.momentum = momentum
            norm.eval()


def _scores(logits: Tensor, labels: Tensor) -> Tensor:
    """Whether each image is correct, and its loss in bits: (n, 2) float64."""
    loss = functional.cross_entropy(logits.double(), labels, reduction="none") / math.log(2)
    return torch.stack([(logits.argmax(dim=1) == labels).double(), loss], dim=1).cpu()


def _joined(scores: Sequence[Tensor]) -> Classified:
    correct, loss = torch.cat(list(scores)).numpy().T
    return Classified(correct, loss)
