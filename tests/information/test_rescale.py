from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from ir2search.information.rescale import can_rescale, rescaled
from ir2search.models.network import TappedNetwork
from ir2search.space import Candidate
from ir2search.zoo import build_preset

Make = Callable[[Candidate], TappedNetwork]


@pytest.mark.parametrize(
    "fields",
    [
        {"activation": "hardtanh"},
        {"activation": "prelu"},
        {"activation": "rprelu"},
        {"stem": "int8"},
        {"stem": "thermometer"},
    ],
    ids=str,
)
def test_the_copy_has_the_same_logits_and_the_network_is_not_changed(
    small: Callable[..., Candidate],
    untrained: Make,
    batch: tuple[Tensor, Tensor],
    fields: dict[str, str],
) -> None:
    network = untrained(small(**fields))
    modules = dict(network.named_modules())
    copy = rescaled(network)
    with torch.no_grad():
        torch.testing.assert_close(copy(batch[0]), network(batch[0]), rtol=1e-4, atol=1e-5)
    assert dict(network.named_modules()) == modules


def test_a_network_with_max_pooling_cannot_be_rescaled() -> None:
    assert can_rescale(build_preset("cifar-resnet20"))
    assert not can_rescale(build_preset("cifar-vgg-small"))
