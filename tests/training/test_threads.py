from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

import ir2search as ir
from ir2search.data import DataConfig, ImageData
from ir2search.kernels.training import library
from ir2search.nn import kernels_on
from ir2search.nn.threads import kernel_threads
from ir2search.training import threads

CPU = torch.device("cpu")
needs_kernels = pytest.mark.skipif(library() is None, reason="needs a C++ compiler")


@pytest.fixture
def torch_threads() -> Iterator[Callable[[int], None]]:
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> ImageData:
    data = ir.load_data(DataConfig(size=16), None, tmp_path_factory.mktemp("cache"), 0)
    return replace(data, train=data.train.first(192), validation=data.validation.first(64))


@needs_kernels
@pytest.mark.parametrize("threshold", [0.0, 1.0])
def test_a_training_gives_the_same_numbers_on_any_number_of_threads(
    digits: ImageData,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    torch_threads: Callable[[int], None],
    threshold: float,
) -> None:
    recipe = ir.Recipe(epochs=1, batch_size=64, optimizer="adamw", lr=0.02, crop_padding=1)
    candidate = ir.Candidate(depth=8, width=0.5, image=(1, 16, 16), threshold=threshold)
    torch_threads(3)
    monkeypatch.setattr(threads, "cores", lambda: 3)
    for most in (1, 3):
        monkeypatch.setattr(threads, "faster", lambda *_, most=most: most)
        ir.train(candidate, recipe, digits, tmp_path / str(most), seed=0, device=CPU)
    one, three = (load_file(tmp_path / f"{most}/last.safetensors") for most in (1, 3))
    assert all(torch.equal(one[name], three[name]) for name in one)


@needs_kernels
def test_the_faster_number_of_threads_is_chosen(
    monkeypatch: pytest.MonkeyPatch, torch_threads: Callable[[int], None]
) -> None:
    torch_threads(4)
    monkeypatch.setattr(threads, "cores", lambda: 4)
    network = ir.build(ir.Candidate(depth=8, width=0.25))
    for seconds in ({1: 3.0, 4: 1.0}, {1: 1.0, 4: 3.0}):
        clock = [0.0]
        monkeypatch.setattr("time.perf_counter", lambda clock=clock: clock[0])

        def step(clock: list[float] = clock, seconds: dict[int, float] = seconds) -> None:
            assert torch.get_num_threads() == 1, "torch's operations stay on one thread"
            clock[0] += seconds[kernel_threads()]

        with threads.best_threads(network, CPU, step):
            assert kernel_threads() == min(seconds, key=lambda number: seconds[number])
        assert torch.get_num_threads() == kernel_threads() == 4


def test_the_containers_quota_limits_the_threads(
    monkeypatch: pytest.MonkeyPatch, torch_threads: Callable[[int], None]
) -> None:
    torch_threads(4)
    monkeypatch.setattr(threads, "cores", lambda: 1)
    with threads.best_threads(ir.build(ir.Candidate(depth=8, width=0.25)), CPU, lambda: None):
        assert torch.get_num_threads() == 1


def test_real_weights_stay_on_all_of_torchs_threads(torch_threads: Callable[[int], None]) -> None:
    torch_threads(3)
    network = ir.build(ir.Candidate(depth=8, width=0.25, weights="real"))
    with threads.best_threads(network, CPU, lambda: None):
        assert torch.get_num_threads() == 3


def test_an_error_in_a_training_restores_the_threads(torch_threads: Callable[[int], None]) -> None:
    torch_threads(3)
    with pytest.raises(ZeroDivisionError), kernels_on(2):
        _ = 1 / 0
    assert torch.get_num_threads() == kernel_threads() == 3
