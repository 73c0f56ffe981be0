from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch

import ir2search as ir
from ir2search.data import DataConfig, ImageData
from ir2search.errors import InputError
from ir2search.search.executors import devices
from ir2search.search.executors.devices import (
    fitting_workers,
    memory_of_worker,
    worker_devices,
)
from ir2search.study.loading import parse_study


def test_workers_take_the_devices_in_turn() -> None:
    cpu = torch.device("cpu")
    assert worker_devices("cpu") == [cpu]
    assert worker_devices("cpu,cpu", trials_per_device=2) == [cpu] * 4
    assert worker_devices("cpu, cpu", workers=3) == [cpu] * 3


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("cpu", 0), "workers: must be from 1 to 1024, but got 0"),
        (("cpu", 2, 2), "workers and trials_per_device: both say .*; give only one"),
        (("cpu,cuda:99",), "device 'cuda:99' is not available .*; try cpu"),
        (("cpu,,cpu",), "device '' is not available .*; try cpu"),
    ],
)
def test_wrong_devices_are_named(arguments: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        worker_devices(*arguments)


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> ImageData:
    return ir.load_data(DataConfig(size=8), None, tmp_path_factory.mktemp("cache"), 0)


@pytest.mark.parametrize(
    ("cores", "trials", "most", "workers"), [(6, 20, 4, 4), (2, 20, 4, 2), (6, 3, 4, 3)]
)
def test_there_is_a_worker_for_each_core_up_to_the_limits(
    quick: dict[str, Any],
    digits: ImageData,
    monkeypatch: pytest.MonkeyPatch,
    cores: int,
    trials: int,
    most: int,
    workers: int,
) -> None:
    monkeypatch.setattr(devices, "cores", lambda: cores)
    monkeypatch.setattr(devices, "free_memory", lambda: None)
    study = parse_study({**quick, "trials": trials}, "a.toml")
    assert fitting_workers(study, digits, most) == workers


def test_workers_fit_in_the_memory(
    quick: dict[str, Any], digits: ImageData, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = parse_study(quick, "a.toml")
    need = memory_of_worker(study, digits)
    monkeypatch.setattr(devices, "cores", lambda: 8)
    for room, workers in ((0.5, 1), (3.5, 3), (100, 4)):
        monkeypatch.setattr(devices, "free_memory", lambda room=room: int(room * need))
        assert fitting_workers(study, digits, 4) == workers


def test_larger_networks_batches_and_images_need_more_memory(
    quick: dict[str, Any], digits: ImageData
) -> None:
    def need(values: dict[str, Any], data: ImageData = digits) -> float:
        return memory_of_worker(parse_study(values, "a.toml"), data)

    wide = {**quick, "space": {**quick["space"], "width": [0.25, 2.0]}}
    large = {**quick, "recipe": {**quick["recipe"], "batch_size": 1024}}
    assert need(quick) < min(need(wide), need(large))
    assert need(quick) > need(quick, replace(digits, train=digits.train.first(100)))
