from __future__ import annotations

from pathlib import Path

import pytest

from ir2search.errors import RunError
from ir2search.files import protect
from ir2search.runs.turns import train_in_turn


def test_a_folder_outside_of_the_run_is_an_error_and_not_waited_for(tmp_path: Path) -> None:
    run = tmp_path / "run"
    run.mkdir()
    (run / "supernet").symlink_to(tmp_path)
    protect(run)
    with pytest.raises(RunError, match="a symbolic link leads out of"):
        train_in_turn(lambda: None, run / "supernet", "the supernet", lambda: True)
