"""The running statistics of BatchNorms, when a batch is seen twice at the price of once."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm


class RunningStatistics:
    """A network's running statistics before a batch, to let it count twice after.

    Args:
        network: in training.
    """

    def __init__(self, network: nn.Module) -> None:
        self._norms = [module for module in network.modules() if isinstance(module, _BatchNorm)]
        self._before = [statistic.clone() for norm in self._norms for statistic in _running(norm)]

    @torch.no_grad()
    def repeat(self) -> None:
        """Move the statistics as if the batch that was seen since were seen once more.

        With s the statistic before, b the batch's and m the momentum, once gives s + m (b - s) and
        twice s + m (2 - m) (b - s): 2 - m times as far.
        """
        before = iter(self._before)
        for norm in self._norms:
            assert norm.momentum is not None
            assert norm.num_batches_tracked is not None
            norm.num_batches_tracked += 1
            for statistic in _running(norm):
                start = next(before)
                # .data: autograd keeps the statistic, which no gradient depends on in training
                statistic.data.copy_(start + (2 - norm.momentum) * (statistic - start))


def _running(norm: _BatchNorm) -> list[Tensor]:
    statistics = [norm.running_mean, norm.running_var]
    return [statistic for statistic in statistics if statistic is not None]
