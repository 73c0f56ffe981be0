"""Train copies of parts of the shared weights, and add up their gradients."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, replace
from functools import cached_property

import torch
from torch import Tensor, nn

from ir2search.models.network import TappedNetwork
from ir2search.space import Candidate
from ir2search.supernet.supernet import Supernet
from ir2search.training.statistics import RunningStatistics

MOST_NUMBERS = 1 << 25  # of the networks that are kept for their next step


class FlatParameters:
    """The parameters of a module as one vector, and their gradients as another.

    The parameters and their gradients become parts of these vectors. Gradients must not be set to
    None afterwards.

    Attributes:
        values: all parameters, (numbers) float.
        gradients: their gradients, (numbers) float.
    """

    def __init__(self, module: nn.Module) -> None:
        parameters = list(module.parameters())
        self.values = torch.cat([each.detach().flatten() for each in parameters])
        self.gradients = torch.zeros_like(self.values)
        sizes = [each.numel() for each in parameters]
        parts = zip(self.values.split(sizes), self.gradients.split(sizes), strict=True)
        for own, (values, gradients) in zip(parameters, parts, strict=True):
            own.data, own.grad = values.view_as(own), gradients.view_as(own)


@dataclass(frozen=True)
class SubnetCopy:
    """A network with a copy of its part of the shared weights, for training.

    Attributes:
        network: in training mode.
        places: where each of its numbers is among the shared parameters, int64.
    """

    network: TappedNetwork
    places: Tensor

    @cached_property
    def statistics(self) -> RunningStatistics:
        """The running statistics of its BatchNorms."""
        return RunningStatistics(self.network)

    @cached_property
    def _flat(self) -> FlatParameters:
        return FlatParameters(self.network)

    def load_weights(self, shared: FlatParameters) -> None:
        """Copy its part of the shared weights, and set its gradients to 0."""
        torch.index_select(shared.values, 0, self.places, out=self._flat.values)
        self._flat.gradients.zero_()

    def add_gradients(self, shared: FlatParameters) -> None:
        """Add its gradients to those of the shared weights."""
        shared.gradients.index_add_(0, self.places, self._flat.gradients)


class SubnetCopies:
    """Keeps the networks that were trained last; others are built when they are needed.

    Args:
        supernet: the shared weights.
    """

    def __init__(self, supernet: Supernet) -> None:
        self._supernet = supernet
        self._kept: OrderedDict[Candidate, SubnetCopy] = OrderedDict()

    def get(self, candidate: Candidate) -> SubnetCopy:
        """The network of a candidate; its threshold does not matter."""
        key = replace(candidate.without_recipe(), threshold=0.0)
        found = self._kept.pop(key, None)
        if found is None:
            network, places = self._supernet.empty_subnet(key)
            found = SubnetCopy(network.train(), places)
        self._kept[key] = found
        while sum(len(each.places) for each in self._kept.values()) > MOST_NUMBERS:
            self._kept.popitem(last=False)
        return found
