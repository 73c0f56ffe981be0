from __future__ import annotations

import subprocess
import sys

from ir2search.seeds import derive_seed


def test_seeds_are_equal_in_all_processes_and_differ_with_each_part() -> None:
    code = "from ir2search.seeds import derive_seed; print(derive_seed(3, 'train', 'abc'))"
    command = [sys.executable, "-c", code]
    printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert int(printed) == derive_seed(3, "train", "abc")
    parts = [(seed, use, trial) for seed in range(5) for use in ("a", "b") for trial in range(20)]
    seeds = {derive_seed(*part) for part in parts}
    assert len(seeds) == len(parts)
    assert all(0 <= seed < 2**31 for seed in seeds)
