from __future__ import annotations

import pytest

from ir2search.information import analysis_progress
from ir2search.information.progress import shown_steps


def test_an_analysis_without_a_terminal_is_a_line_each_minute(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [0.0]
    monkeypatch.setattr("ir2search.bars.time.monotonic", lambda: now[0])
    with analysis_progress() as on_step:
        for done in range(5):
            now[0] = 25.0 * done
            on_step("probes of stem", done, 5)
    shown = capsys.readouterr()
    assert (shown.out, shown.err) == ("", "probes of stem: 3/5\n")


def test_steps_of_an_analysis_are_told_and_shown(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    told = list[tuple[str, int, int]]()
    monkeypatch.setattr("ir2search.information.progress.can_be_seen", lambda: True)
    monkeypatch.setattr("ir2search.bars.SECONDS_BETWEEN_LINES", 0.0)
    with shown_steps(lambda *step: told.append(step), progress=True) as on_step:
        on_step("probes of stem", 1, 5)
    assert told == [("probes of stem", 1, 5)]
    assert capsys.readouterr().err == "probes of stem: 1/5\n"
    with shown_steps(lambda *step: told.append(step), progress=False) as on_step:
        on_step("probes of stem", 2, 5)
    assert len(told) == 2
    assert capsys.readouterr().err == ""
