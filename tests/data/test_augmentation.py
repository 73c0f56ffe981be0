from __future__ import annotations

from collections import Counter

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from ir2search.data import Augmentation, Split

ROWS = torch.arange(0)  # of the split; only an alternating flip needs them


def split(count: int, side: int = 4) -> Split:
    """Each image is filled with one value, which is also its label."""
    labels = torch.arange(count)
    images = labels.view(-1, 1, 1, 1).expand(count, 1, side, side).to(torch.uint8)
    return Split(images.contiguous(), labels)


@settings(max_examples=30)
@given(
    st.integers(0, 10_000), st.integers(0, 4), st.booleans(), st.integers(1, 6), st.integers(1, 6)
)
def test_every_augmented_image_is_a_crop_of_the_padded_one(
    seed: int, padding: int, flip: bool, height: int, width: int
) -> None:
    generator = torch.Generator().manual_seed(seed)
    images = torch.randint(0, 256, (3, 2, height, width), generator=generator, dtype=torch.uint8)
    found = Augmentation(padding, flip)(images, ROWS, generator)
    assert found.shape == images.shape
    for image, result in zip(images, found, strict=True):
        padded = functional.pad(image, (padding,) * 4)
        crops = [
            padded[:, top : top + height, left : left + width]
            for top in range(2 * padding + 1)
            for left in range(2 * padding + 1)
        ]
        crops += [crop.flip(2) for crop in crops] if flip else []
        assert any(torch.equal(result, crop) for crop in crops)


def test_no_padding_and_no_flip_change_nothing() -> None:
    images = torch.randint(0, 256, (4, 3, 5, 5), dtype=torch.uint8)
    assert torch.equal(Augmentation(0, False)(images, ROWS, torch.Generator()), images)


@settings(max_examples=30)
@given(st.integers(0, 10_000), st.integers(1, 9), st.integers(2, 6), st.integers(2, 6))
def test_reflected_crops_are_those_of_an_image_padded_by_numpy(
    seed: int, padding: int, height: int, width: int
) -> None:
    generator = torch.Generator().manual_seed(seed)
    image = torch.randint(0, 256, (1, 1, height, width), generator=generator, dtype=torch.uint8)
    found = Augmentation(padding, False, padding="reflect")(image, ROWS, generator)
    padded = np.pad(image[0, 0].numpy(), padding, mode="reflect")
    windows = np.lib.stride_tricks.sliding_window_view(padded, (height, width))
    assert (windows == found[0, 0].numpy()).all(axis=(2, 3)).any()


def test_an_alternating_flip_mirrors_each_image_in_every_second_epoch() -> None:
    images = torch.arange(200 * 3).view(200, 1, 1, 3).to(torch.uint8)
    data = Split(images, torch.arange(200))
    augmentation = Augmentation(0, True, alternating_flip=True)
    generator = torch.Generator().manual_seed(0)
    mirrored = []
    for epoch in range(3):
        is_mirrored = torch.empty(200, dtype=torch.bool)
        for batch, rows in data.batches(8, augmentation.in_epoch(epoch, 200, 5), generator):
            is_mirrored[rows] = (batch == images[rows].flip(3)).flatten(1).all(dim=1)
            assert torch.equal(batch[~is_mirrored[rows]], images[rows][~is_mirrored[rows]])
        mirrored.append(is_mirrored)
    assert torch.equal(mirrored[0], ~mirrored[1])
    assert torch.equal(mirrored[0], mirrored[2])
    assert 60 < int(mirrored[0].sum()) < 140


def test_cutout_blanks_a_square_of_each_image_with_the_mean_colour() -> None:
    images = torch.full((400, 2, 9, 9), 50, dtype=torch.uint8)
    images[::2] = 150
    found = Augmentation(0, False, cutout=3)(images, ROWS, torch.Generator().manual_seed(0))
    blanked = found == 100
    assert torch.equal(blanked[:, 0], blanked[:, 1])
    assert torch.equal(found[~blanked], images[~blanked])
    sizes = Counter(blanked[:, 0].flatten(1).sum(dim=1).tolist())
    assert set(sizes) == {4, 6, 9}, "a square at the border is partly outside"
    assert blanked[:, 0].any(dim=0).all(), "every pixel is blanked in some image"


def test_every_offset_and_both_sides_occur_equally_often() -> None:
    image = torch.arange(1, 10, dtype=torch.uint8).view(1, 1, 3, 3)
    images = image.expand(9000, 1, 3, 3)
    found = Augmentation(1, True)(images, ROWS, torch.Generator().manual_seed(0))
    counts = Counter(tuple(result.flatten().tolist()) for result in found)
    assert len(counts) == 3 * 3 * 2
    assert min(counts.values()) > 500 / 1.3
    assert max(counts.values()) < 500 * 1.3
