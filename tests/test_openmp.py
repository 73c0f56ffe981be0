from __future__ import annotations

import os
import subprocess
import sys

import pytest

from ir2search.openmp import SETTINGS

SHOW = "import os; print(os.environ.get('OMP_WAIT_POLICY'))"


def run(code: str, **settings: str) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if name not in SETTINGS}
    return subprocess.run(
        [sys.executable, "-c", code],
        env=environment | settings,
        capture_output=True,
        text=True,
        check=True,
    )


def test_waiting_threads_sleep_in_a_process_that_imports_the_package() -> None:
    """OpenMP itself shows what it read."""
    shown = run("import ir2search, torch", OMP_DISPLAY_ENV="true")
    if "OMP_WAIT_POLICY" not in shown.stderr:
        pytest.skip("the OpenMP of this torch does not show its settings")
    assert "OMP_WAIT_POLICY = 'PASSIVE'" in shown.stderr


def test_a_setting_of_the_user_stays() -> None:
    assert run(f"import ir2search; {SHOW}").stdout == "PASSIVE\n"
    assert run(f"import ir2search; {SHOW}", OMP_WAIT_POLICY="ACTIVE").stdout == "ACTIVE\n"
    assert run(f"import ir2search; {SHOW}", GOMP_SPINCOUNT="1000").stdout == "None\n"


LATE = """
import sys, warnings
sys.modules["torch"] = sys  # stands for a torch that is loaded already
import ir2search.openmp
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    for _ in range(2):
        ir2search.openmp.warn_of_spinning()
print(*[warning.message for warning in caught], sep="\\n")
"""


def test_importing_torch_first_warns_once_and_gives_advice() -> None:
    said = run(LATE).stdout
    assert said.count("import ir2search first, or set OMP_WAIT_POLICY=PASSIVE") == 1
    assert run(LATE, OMP_WAIT_POLICY="PASSIVE").stdout == "\n"
