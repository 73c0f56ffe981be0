from __future__ import annotations

import pytest
import torch

from ir2search.data import Augmentation, Split

ROWS = torch.arange(0)  # of the split; only an alternating flip needs them


def split(count: int, side: int = 4) -> Split:
    """Each image is filled with one value, which is also its label."""
    labels = torch.arange(count)
    images = labels.view(-1, 1, 1, 1).expand(count, 1, side, side).to(torch.uint8)
    return Split(images.contiguous(), labels)


def test_each_epoch_has_a_new_order_of_full_batches() -> None:
    data, generator = split(23), torch.Generator().manual_seed(0)
    epochs = [
        [labels for _, labels in data.batches(5, Augmentation(0, False), generator)]
        for _ in range(2)
    ]
    for epoch in epochs:
        assert [len(labels) for labels in epoch] == [5, 5, 5, 5]
        assert len(torch.cat(epoch).unique()) == 20
    assert not torch.equal(torch.cat(epochs[0]), torch.cat(epochs[1]))


def test_images_keep_their_labels() -> None:
    generator = torch.Generator().manual_seed(0)
    for images, labels in split(50).batches(8, Augmentation(0, True), generator):
        assert torch.equal(images[:, 0, 0, 0].long(), labels)
    for images, labels in split(50).batches(8, Augmentation(2, True), generator):
        assert torch.equal(images.amax(dim=(1, 2, 3)).long(), labels)


def test_equal_seeds_give_equal_epochs() -> None:
    def epoch(seed: int) -> torch.Tensor:
        generator = torch.Generator().manual_seed(seed)
        found = split(40).batches(8, Augmentation(2, True), generator)
        return torch.cat([images for images, _ in found])

    assert torch.equal(epoch(1), epoch(1))
    assert not torch.equal(epoch(1), epoch(2))


@pytest.mark.parametrize("size", [7, 8, 100])
def test_fewer_images_than_a_batch_are_one_batch(size: int) -> None:
    found = list(split(7).batches(size, Augmentation(0, False), torch.Generator()))
    assert [len(labels) for _, labels in found] == [7]


@pytest.mark.parametrize("count", [1, 10, 20, 21])
def test_evaluation_reads_everything_in_order(count: int) -> None:
    found = list(split(count).evaluation_batches(10))
    assert torch.equal(torch.cat([labels for _, labels in found]), torch.arange(count))
    assert all(len(images) == len(labels) <= 10 for images, labels in found)


def test_the_first_images_are_at_most_those_of_the_split() -> None:
    assert split(5).first(2).labels.tolist() == [0, 1]
    assert len(split(5).first(9)) == 5
