from __future__ import annotations

import pytest
import torch

import ir2search as ir
from ir2search.errors import StudyError
from ir2search.information.registered import measured
from ir2search.registry import Registry


@pytest.fixture(autouse=True)
def _own_registry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ir2search.information.registered.MEASURES", Registry("measure", {}))


def test_a_registered_measure_has_a_value_for_each_image() -> None:
    @ir.register_measure("peak", unit="share")
    def peak(maps: torch.Tensor) -> torch.Tensor:
        return maps.amax(dim=(1, 2, 3))

    ((name, unit, values),) = measured(torch.arange(8.0).view(2, 1, 2, 2))
    assert (name, unit) == ("peak", "share")
    assert values.tolist() == [3, 7]
    assert values.dtype == torch.float64


def test_a_measure_name_is_unique() -> None:
    ir.register_measure("peak", unit="share")(lambda maps: maps[:, 0, 0, 0])
    with pytest.raises(StudyError, match="peak"):
        ir.register_measure("peak", unit="bits")(lambda maps: maps[:, 0, 0, 0])
