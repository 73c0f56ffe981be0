"""`Supernet`: the weights that all networks of a space share."""

from __future__ import annotations

import copy
from collections import OrderedDict

import torch
from torch import Tensor, nn
from torch.nn.utils import parameters_to_vector, vector_to_parameters

from ir2search.errors import CandidateError
from ir2search.models.network import TappedNetwork, initialise
from ir2search.nn import make_activation
from ir2search.nn.recovery import fusion_convolution
from ir2search.space import Candidate, SearchSpace, build
from ir2search.supernet.channels import head_channels
from ir2search.supernet.extremes import SHARED, Extremes, extremes_of
from ir2search.supernet.slices import positions, slices

# fields in which a network of the space may differ from the largest one
FREE = {*SHARED, "normalization", "fusion_group_size", "recipe"}


class Supernet:
    """The weights that all networks of a space share.

    ``network`` has the layers of the largest network of the space. Its fusion has the channels of
    every fusion in the space, dense or compact, and its head has an input for each of them. It
    cannot be run itself; `subnet` returns networks that can.

    Sources: Yu et al., "BigNAS", ECCV 2020; Lin et al., "NAS-BNN", arXiv 2408.15484.

    Args:
        space: with the images' shape and the number of classes, see `SearchSpace.with_data`.

    Raises:
        SpaceError: the networks of the space cannot share their weights; the message says why.
    """

    def __init__(self, space: SearchSpace) -> None:
        self.space = space
        self.extremes = extremes_of(space)
        self.network = _shared_layers(self.extremes)

    @property
    def largest(self) -> Candidate:
        """The candidate with the largest value of each parameter."""
        return self.extremes.largest

    @property
    def smallest(self) -> Candidate:
        """The candidate with the smallest value of each parameter."""
        return self.extremes.smallest

    def with_network(self, network: TappedNetwork) -> Supernet:
        """The same supernet with other weights, such as an average of its own."""
        other = copy.copy(self)
        other.network = network
        return other

    def subnet(self, candidate: Candidate) -> TappedNetwork:
        """The candidate's network with a copy of its part of the weights, on their device.

        The running statistics of its BatchNorms are not set: see `calibrate`.

        Raises:
            CandidateError: the space has no such network.
        """
        network, places = self.empty_subnet(candidate)
        shared = parameters_to_vector(self.network.parameters()).detach()
        vector_to_parameters(shared[places], network.parameters())
        return network

    def empty_subnet(self, candidate: Candidate) -> tuple[TappedNetwork, Tensor]:
        """The candidate's network with random weights, and where its own are among the shared.

        Returns:
            The network, and for each of its numbers the place in the vector of all shared
            parameters, int64; both on the device of the shared weights.

        Raises:
            CandidateError: the space has no such network.
        """
        self._check(candidate)
        with torch.random.fork_rng(devices=[]):
            network = build(candidate)
        shapes = {name: each.shape for name, each in self.network.named_parameters()}
        places = positions(slices(self.extremes, candidate, network, shapes), shapes)
        device = next(self.network.parameters()).device
        return network.to(device), places.to(device)

    def _check(self, candidate: Candidate) -> None:
        own, given = self.largest.as_dict(), candidate.as_dict()
        for name in sorted({*own, *given} - FREE):
            if own.get(name) != given.get(name):
                raise CandidateError(
                    f"{name}: the supernet has {own.get(name)!r}, but the candidate "
                    f"{given.get(name)!r}"
                )
        group = self.extremes.group_size
        if candidate.fusion_channels and candidate.fusion_group_size != group:
            raise CandidateError(
                f"fusion_group_size: the supernet has {group}, but the candidate "
                f"{candidate.fusion_group_size}"
            )


def _shared_layers(extremes: Extremes) -> TappedNetwork:
    """The layers of the largest network, with a fusion and a head for all networks."""
    largest = extremes.largest
    network = build(largest)

    def activation(channels: int) -> nn.Module:
        return make_activation(largest.activation, channels)

    channels = dict(zip(network.layer_names, largest.channels, strict=True))
    last = largest.channels[-1]
    inputs = last + sum(channels[name] for name in largest.taps)
    recovery, compact = network.recovery, extremes.compact
    if largest.taps:
        recovery.primary = fusion_convolution(inputs, extremes.primary, 1, 1, activation)
        if extremes.cheap:
            groups = compact // extremes.group_size
            recovery.cheap = fusion_convolution(compact, extremes.cheap, 3, groups, activation)
        recovery.apply(initialise)
    network.head = _widened(network.head, last, head_channels(extremes))
    network.head.apply(initialise)
    return network


def _widened(head: nn.Module, channels: int, wide: int) -> nn.Sequential:
    """A head like the given one with ``wide`` input channels in place of ``channels``."""
    layers: OrderedDict[str, nn.Module] = OrderedDict()
    for name, layer in head.named_children():
        if isinstance(layer, nn.BatchNorm1d):
            layers[name] = nn.BatchNorm1d(wide)
        elif isinstance(layer, nn.Linear):
            layers[name] = nn.Linear(layer.in_features // channels * wide, layer.out_features)
        else:
            layers[name] = layer
    return nn.Sequential(layers)
