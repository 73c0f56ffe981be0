from __future__ import annotations

import subprocess
import sys
import threading
import time
from pathlib import Path

from ir2search.search.driver_locks import DriverLocks


def test_a_dead_drivers_trials_are_free_at_once(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path\n"
        "from ir2search.search.driver_locks import DriverLocks\n"
        "with DriverLocks(Path(sys.argv[1]), shared=True) as locks:\n"
        "    print(locks.name, flush=True); sys.stdin.read()"
    )
    with DriverLocks(tmp_path, shared=True) as locks:
        with subprocess.Popen(
            [sys.executable, "-c", code, str(tmp_path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        ) as other:
            assert other.stdout is not None
            name = other.stdout.readline().strip()
            assert not locks.is_free(name)
            other.kill()
        assert locks.is_free(name)
        assert locks.is_free("")
        assert locks.is_free(None)
        assert not locks.is_free(locks.name)


def test_drivers_decide_one_after_the_other(tmp_path: Path) -> None:
    inside, most = 0, 0

    def decide() -> None:
        nonlocal inside, most
        with DriverLocks(tmp_path, shared=True) as locks:
            for _ in range(20):
                with locks.deciding():
                    inside += 1
                    most = max(most, inside)
                    time.sleep(0.001)
                    inside -= 1

    threads = [threading.Thread(target=decide) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == 1


def test_a_single_driver_needs_no_locks(tmp_path: Path) -> None:
    with DriverLocks(tmp_path, shared=False) as locks, locks.deciding(), locks.finishing():
        assert locks.is_free("any other driver")
    assert not list(tmp_path.iterdir())
