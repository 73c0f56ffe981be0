from __future__ import annotations

import threading
from collections.abc import Iterator
from contextvars import ContextVar

import pytest
import torch

from ir2search.information import parallel
from ir2search.information.parallel import StepDone, parts_at_once, run_parts

CPU = torch.device("cpu")
LONGEST = 20  # seconds that a part waits for another one


@pytest.fixture(autouse=True)
def four_cores(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    before = torch.get_num_threads()
    monkeypatch.setattr(parallel, "cores", lambda: 4)
    torch.set_num_threads(4)
    yield
    torch.set_num_threads(before)


def test_parts_run_at_the_same_time_and_results_keep_their_order() -> None:
    together = threading.Barrier(2, timeout=LONGEST)
    done: list[str] = []

    def work(part: int, on_step: StepDone) -> int:
        together.wait()  # raises if the other part does not run
        on_step(f"part {part}")
        return part * part

    assert run_parts(work, [3, 2], done.append, CPU) == [9, 4]
    assert sorted(done) == ["part 2", "part 3"]


def test_parts_share_the_threads_of_torch_and_the_context() -> None:
    setting: ContextVar[str] = ContextVar("setting", default="default")
    setting.set("own")

    def work(part: int, on_step: StepDone) -> tuple[int, str]:
        return torch.get_num_threads(), setting.get()

    assert run_parts(work, [0, 1], lambda name: None, CPU) == [(2, "own")] * 2
    assert run_parts(work, range(5), lambda name: None, CPU) == [(1, "own")] * 5
    assert torch.get_num_threads() == 4, "as before"


def test_an_error_in_one_part_ends_the_others_at_their_next_step() -> None:
    failed = threading.Event()

    def work(part: str, on_step: StepDone) -> None:
        if part == "fails":
            failed.set()
            raise ValueError("no such layer")
        assert failed.wait(LONGEST)
        while True:
            on_step(part)

    with pytest.raises(ValueError, match="no such layer"):
        run_parts(work, ["fails", "goes on"], lambda name: None, CPU)


def test_one_part_and_parts_on_a_gpu_run_on_the_calling_thread() -> None:
    def work(part: int, on_step: StepDone) -> threading.Thread:
        return threading.current_thread()

    own = threading.current_thread()
    assert run_parts(work, [0], lambda name: None, CPU) == [own]
    assert run_parts(work, [0, 1, 2], lambda name: None, torch.device("cuda")) == [own] * 3
    assert parts_at_once(torch.device("cuda"), 9) == 1
    assert parts_at_once(CPU, 9) == 4
    assert parts_at_once(CPU, 3) == 3
