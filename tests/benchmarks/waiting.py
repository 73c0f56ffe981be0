"""What does a busy neighbour cost a training, and how should its threads wait?

Times steps of ResNet-20 in new processes, on all cores and on one, each on a quiet machine and
beside a process that keeps a core busy. OpenMP reads how threads wait when torch is loaded, so each
way needs a process of its own. Nothing else should run meanwhile.

    python tests/benchmarks/waiting.py [--rounds 3] [--steps 8]
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import torch  # before ir2search, which would tell OpenMP how to wait
from rich.console import Console
from rich.table import Table

from ir2search.machine import cores
from ir2search.openmp import SETTINGS

ALL = cores()
WAYS: dict[str, tuple[int, dict[str, str]]] = {
    f"{ALL} threads, as OpenMP waits": (ALL, {}),
    f"{ALL} threads, GOMP_SPINCOUNT=20000": (ALL, {"GOMP_SPINCOUNT": "20000"}),
    f"{ALL} threads, GOMP_SPINCOUNT=1000": (ALL, {"GOMP_SPINCOUNT": "1000"}),
    f"{ALL} threads, passive (our default)": (ALL, {"OMP_WAIT_POLICY": "PASSIVE"}),
    "1 thread": (1, {"OMP_WAIT_POLICY": "PASSIVE"}),
}


def time_steps(threads: int, steps: int) -> float:
    """The median seconds of a step of ResNet-20 in this process."""
    from training import CASES, OurStep

    from ir2search.nn import keep_memory, kernels_on

    keep_memory()
    case, device = CASES[0], torch.device("cpu")
    step = OurStep(case.candidate, device)
    images = torch.randn(case.batch, *case.candidate.image)
    labels = torch.randint(case.candidate.classes, (case.batch,))
    times = []
    with kernels_on(threads):
        for _ in range(steps + 1):
            start = time.perf_counter()
            step(images, labels)
            times.append(time.perf_counter() - start)
    return statistics.median(times[1:])  # the first is a warm-up


def in_new_process(way: str, steps: int) -> float:
    """The same in a new process that waits in one of the `WAYS`."""
    threads, settings = WAYS[way]
    environment = {name: value for name, value in os.environ.items() if name not in SETTINGS}
    command = [sys.executable, __file__, "--threads", str(threads), "--steps", str(steps)]
    done = subprocess.run(
        command, env=environment | settings, capture_output=True, text=True, check=True
    )
    return float(done.stdout)


@contextmanager
def neighbour(is_busy: bool) -> Iterator[None]:
    """A process that keeps a core busy, if there should be one."""
    if not is_busy:
        yield
        return
    process = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    try:
        yield
    finally:
        process.kill()
        process.wait()


def main() -> None:
    """Print the table; with --threads, time one way in this process."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=8)
    parser.add_argument("--threads", type=int)
    arguments = parser.parse_args()
    if arguments.threads is not None:
        print(time_steps(arguments.threads, arguments.steps))
        return
    found: dict[tuple[str, bool], list[float]] = {}
    for _ in range(arguments.rounds):
        for is_busy in (False, True):
            with neighbour(is_busy):
                for way in WAYS:
                    seconds = in_new_process(way, arguments.steps)
                    found.setdefault((way, is_busy), []).append(seconds)
    alone = statistics.median(found["1 thread", False])
    table = Table(title="a step of cifar-resnet20, batch 128", title_justify="left", box=None)
    table.add_column("threads")
    for column in ("quiet, ms", "beside a busy core, ms", "against 1 thread alone"):
        table.add_column(column, justify="right")
    for way in WAYS:
        quiet, busy = (statistics.median(found[way, is_busy]) for is_busy in (False, True))
        table.add_row(way, f"{1e3 * quiet:,.0f}", f"{1e3 * busy:,.0f}", f"{busy / alone:.2f}")
    Console(width=110).print(table)


if __name__ == "__main__":
    main()
