"""The running statistics of BatchNorms: set from images, or updated for a batch used twice."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.optim.swa_utils import update_bn

from ir2search.nn import fixed_weights, kernels_without_gradients


def calibrate(network: nn.Module, batches: Iterable[Tensor]) -> None:
    """Set the running statistics of a network's BatchNorms to the means over batches.

    Source: Yu and Huang, "Universally slimmable networks", ICCV 2019, section 3.3.

    Args:
        network: in evaluation mode afterwards.
        batches: normalised images, each (N, C, H, W).
    """
    with kernels_without_gradients(), fixed_weights():
        update_bn(batches, network)
    network.eval()


class RunningStatistics:
    """The running statistics of a network's BatchNorms, and a copy made before a batch.

    Args:
        network: the network; its buffers must stay the same tensors.
    """

    def __init__(self, network: nn.Module) -> None:
        norms = [module for module in network.modules() if isinstance(module, _BatchNorm)]
        self._statistics: list[Tensor] = []
        self._counts: list[Tensor] = []
        self._momenta: list[float] = []
        for norm in norms:
            if norm.running_mean is None or norm.running_var is None:
                continue
            assert norm.num_batches_tracked is not None
            assert norm.momentum is not None
            # .data hides the change from autograd; no gradient depends on a statistic
            self._statistics += [norm.running_mean.data, norm.running_var.data]
            self._momenta += [norm.momentum, norm.momentum]
            self._counts.append(norm.num_batches_tracked)
        self._before = torch.empty(0)

    def keep(self) -> None:
        """Copy the statistics before a batch."""
        if self._statistics:
            self._before = torch.cat(self._statistics)

    @torch.no_grad()
    def repeat(self) -> None:
        """Update the statistics as if the network had seen the last batch twice.

        Let s be a statistic before the batch, b the statistic of the batch, m the momentum. One
        pass changes s to s + m (b - s), two passes to s + m (2 - m) (b - s). The second pass adds
        1 - m times the change of the first.
        """
        if not self._statistics:
            return
        change = torch.cat(self._statistics) - self._before
        parts = change.split([len(statistic) for statistic in self._statistics])
        shares = [1 - momentum for momentum in self._momenta]
        torch._foreach_add_(self._statistics, torch._foreach_mul(parts, shares))
        torch._foreach_add_(self._counts, 1)
