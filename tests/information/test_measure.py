from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch

from ir2search.data import DataConfig, load_data
from ir2search.information import measure, train_twin
from ir2search.nn import BinaryConv2d
from ir2search.space import Candidate, build
from ir2search.training import Recipe

SMALL = Candidate(depth=8, width=0.125, image=(1, 8, 8))


def test_a_network_beside_itself_loses_nothing() -> None:
    torch.manual_seed(0)
    network = build(SMALL).eval()
    rows = measure(network, network, torch.randn(8, 1, 8, 8), torch.arange(8))
    assert rows[0].layer == "input"
    assert rows[0].kept_share is None
    for row in rows[1:]:
        assert row.information_loss == 0
        assert row.twin_similarity == pytest.approx(1)
        assert row.entropy_bits == row.twin_entropy_bits


def test_measures_stay_in_their_ranges() -> None:
    torch.manual_seed(0)
    network, twin = build(SMALL).eval(), build(SMALL.twin()).eval()
    rows = measure(network, twin, torch.randn(8, 1, 8, 8), torch.arange(8))
    sides = {"input": 8, "stem": 8, "stage1": 8, "stage2": 4, "stage3": 2, "recovery": 2}
    for row in rows:
        most = 2 * math.log2(sides[row.layer.split(".")[0]])
        assert -1e-9 <= row.entropy_bits <= most + 1e-9, row.layer
        assert 0 <= row.twin_similarity <= 1 + 1e-9
        assert 0 <= row.bypass_share < 1
        assert row.completeness_gap >= 0
        if row.kept_share is not None:
            assert row.twin_kept_share is not None
            assert 0 <= row.kept_share <= 1
            assert row.information_loss == row.twin_kept_share - row.kept_share
    assert next(row.layer for row in rows if row.bypass_share > 0) == "stage1.0"
    assert rows[-1].bypass_share == 0


def test_the_twin_is_trained_once_and_kept(tmp_path: Path) -> None:
    data = load_data(DataConfig(size=8), None, tmp_path / "cache", 0)
    recipe = Recipe(epochs=1, batch_size=128, lr=0.02, optimizer="adamw", flip=False)
    epochs: list[int] = []

    def twin() -> dict[str, torch.Tensor]:
        network = train_twin(
            SMALL, recipe, data, tmp_path / "twin", seed=1, device=torch.device("cpu"),
            on_epoch=lambda row: epochs.append(row.epoch),
        )  # fmt: skip
        assert not network.training
        assert {
            m.binarisation.weights for m in network.modules() if isinstance(m, BinaryConv2d)
        } == {"real"}
        return network.state_dict()

    first, second = twin(), twin()
    assert epochs == [1]
    assert all(torch.equal(first[name], second[name]) for name in first)
