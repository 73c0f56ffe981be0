from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from ir2search.data import ImageData, Split
from ir2search.errors import WeightsError
from ir2search.training import accuracy, topk_accuracy


class Scores(nn.Module):
    """Takes the first pixels of an image as its logits."""

    def forward(self, images: Tensor) -> Tensor:
        return images.flatten(1)[:, :4]


def test_accuracies_are_shares_of_the_split() -> None:
    images = torch.tensor([[9, 5, 3, 1], [9, 5, 3, 1], [9, 5, 3, 1], [0, 2, 4, 8]])
    split = Split(images.to(torch.uint8).view(4, 1, 2, 2), torch.tensor([0, 1, 3, 2]))
    data = ImageData(split, split, tuple("abcd"), (0.0,), (1.0,), "", lambda: split)
    network = Scores().train()
    assert topk_accuracy(network, data, split, (1, 2, 9)) == [0.25, 0.75, 1.0]  # type: ignore[arg-type]
    assert accuracy(network, data, split) == pytest.approx(0.25)  # type: ignore[arg-type]
    assert not network.training


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_network_whose_logits_are_not_finite_has_no_accuracy(value: float) -> None:
    split = Split(torch.ones((4, 1, 2, 2), dtype=torch.uint8), torch.tensor([0, 1, 3, 2]))
    data = ImageData(split, split, tuple("abcd"), (0.0,), (1.0,), "", lambda: split)

    class Broken(Scores):
        def forward(self, images: Tensor) -> Tensor:
            return super().forward(images).index_fill(1, torch.tensor([2]), value)

    with pytest.raises(WeightsError, match="NaN or infinite"):
        accuracy(Broken(), data, split)  # type: ignore[arg-type]
