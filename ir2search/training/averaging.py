"""The moving average of a network's weights over the steps of its training."""

from __future__ import annotations

from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn


def moving_average(network: nn.Module, decay: float) -> AveragedModel | None:
    """A copy of a network with the exponential moving average of its latent weights.

    After each step, w' = decay w' + (1 - decay) w (Polyak and Juditsky, 1992; Izmailov et al.,
    "Averaging weights leads to wider optima", UAI 2018). Weights are averaged before their signs
    are taken.

    Args:
        network: the network that is trained.
        decay: from 0 to 1; the average is over about 1 / (1 - decay) steps. 0 for no average.
    """
    return AveragedModel(network, multi_avg_fn=get_ema_multi_avg_fn(decay)) if decay else None
