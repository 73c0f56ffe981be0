from __future__ import annotations

from typing import Any

import pytest
import torch

from ir2search.errors import InputError
from ir2search.search.executors.devices import worker_devices


def test_workers_take_the_devices_in_turn() -> None:
    cpu = torch.device("cpu")
    assert worker_devices("cpu") == [cpu]
    assert worker_devices("cpu,cpu", trials_per_device=2) == [cpu] * 4
    assert worker_devices("cpu, cpu", workers=3) == [cpu] * 3


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("cpu", 0), "workers: must be 1 or more, but got 0"),
        (("cpu", 2, 2), "workers and trials_per_device: both say .*; give only one"),
        (("cpu,cuda:99",), "device 'cuda:99' is not available .*; try cpu"),
        (("cpu,,cpu",), "device '' is not available .*; try cpu"),
    ],
)
def test_wrong_devices_are_named(arguments: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        worker_devices(*arguments)
