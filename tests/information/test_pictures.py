from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import torch

import ir2search as ir
from ir2search.data import DataConfig, load_data
from ir2search.information.pictures import attention_pictures
from ir2search.space import Candidate, build


def test_the_grid_shows_images_blanked_pixels_and_attention(tmp_path: Path) -> None:
    data = load_data(DataConfig(source="digits", size=8), None, tmp_path, 0)
    candidate = Candidate(depth=8, width=0.25, image=data.image, threshold=1.0)
    torch.manual_seed(0)
    networks = {"binary": build(candidate).eval(), "twin": build(candidate.twin()).eval()}
    drawn = pd.DataFrame(attention_pictures(networks, candidate, data))
    rows = [row for _, row in drawn.groupby("item")]
    names = [row["measure"].iloc[0] for row in rows]
    assert names == [f"picture of {digit}" for digit in range(5)]
    columns = ["image", "restricted, λ = 1", "stem", "stage1", "stage2", "stage3"]
    assert list(rows[0]["layer"]) == [*columns, "stage3 of the twin"]
    first = data.validation.images[(data.validation.labels == 0).nonzero()[0, 0]]
    image, restricted, *maps = [
        np.reshape(values, shape)
        for values, shape in zip(rows[0]["array"], rows[0]["shape"], strict=True)
    ]
    np.testing.assert_allclose(image[:, :, 0], first[0].numpy() / 255, atol=1e-6)
    changed = (image != restricted).any(axis=2)
    with torch.no_grad():
        normalised = data.normalise(first[None])
        last = networks["binary"].forward_features(normalised)
        kept = ir.restrict(normalised, last, 1.0)[0, 0] != 0
    assert 0 < changed.sum() < changed.size
    np.testing.assert_array_equal(changed, ~kept.numpy())
    assert all(picture.shape == (8, 8) for picture in maps)
