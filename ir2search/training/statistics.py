"""Update the running statistics of BatchNorms for a batch that is used twice."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm


class RunningStatistics:
    """A copy of the running statistics of a network, made before a batch."""

    def __init__(self, network: nn.Module) -> None:
        self._norms = [module for module in network.modules() if isinstance(module, _BatchNorm)]
        self._before = [statistic.clone() for norm in self._norms for statistic in _running(norm)]

    @torch.no_grad()
    def repeat(self) -> None:
        """Update the statistics as if the network had seen the last batch twice.

        Let s be a statistic before the batch, b the statistic of the batch, m the momentum. One
        pass changes s to s + m (b - s), two passes to s + m (2 - m) (b - s). The change is 2 - m
        times as large.
        """
        before = iter(self._before)
        for norm in self._norms:
            assert norm.momentum is not None
            assert norm.num_batches_tracked is not None
            norm.num_batches_tracked += 1
            for statistic in _running(norm):
                start = next(before)
                # .data hides the change from autograd; no gradient depends on the statistic
                statistic.data.copy_(start + (2 - norm.momentum) * (statistic - start))


def _running(norm: _BatchNorm) -> list[Tensor]:
    statistics = [norm.running_mean, norm.running_var]
    return [statistic for statistic in statistics if statistic is not None]
