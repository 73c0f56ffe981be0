from __future__ import annotations

import pytest

import ir2search as ir
from ir2search.errors import CandidateError


def test_every_preset_has_a_network_and_a_cost() -> None:
    assert "cifar-resnet20" in ir.presets()
    for name in ir.presets():
        assert ir.cost(ir.preset(name)).ops > 0


def test_an_unknown_preset_lists_a_near_one() -> None:
    with pytest.raises(CandidateError, match="no preset 'resnet20'; did you mean cifar-resnet20"):
        ir.preset("resnet20")
