"""The moving average of a network's weights over the steps of its training."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice
from typing import cast

from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from ir2search.models.network import TappedNetwork
from ir2search.training.statistics import calibrate

STATISTICS_IMAGES = 4096  # images that give the statistics of the BatchNorms


class Averaged:
    """A copy of a network with the exponential moving average of its latent weights.

    After each step, w' = decay w' + (1 - decay) w (Polyak and Juditsky, 1992; Izmailov et al.,
    "Averaging weights leads to wider optima", UAI 2018). Weights are averaged before their signs
    are taken.

    Args:
        network: the network that is trained.
        decay: from 0 to 1; the average is over about 1 / (1 - decay) steps.
    """

    def __init__(self, network: TappedNetwork, decay: float) -> None:
        self.model = AveragedModel(network, multi_avg_fn=get_ema_multi_avg_fn(decay))

    @property
    def network(self) -> TappedNetwork:
        """The network with the averaged weights."""
        return cast("TappedNetwork", self.model.module)

    def update(self, network: nn.Module) -> None:
        """Add the weights after a step to the average."""
        self.model.update_parameters(network)

    def set_statistics(self, batches: Iterable[Tensor], size: int) -> None:
        """Compute the BatchNorms' statistics for the averaged weights.

        Args:
            batches: normalised training images (size, C, H, W); only the first are used.
            size: number of images in a batch.
        """
        count = max(1, STATISTICS_IMAGES // size)
        calibrate(self.network, islice(batches, count))
