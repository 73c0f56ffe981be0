from __future__ import annotations

import logging

import pytest

from ir2search.observers import guarded


class Heard:
    def on_word(self, word: str) -> None:
        """A word was said."""


class Failing(Heard):
    def on_word(self, word: str) -> None:
        raise OSError("no network")


class Keeping(Heard):
    def __init__(self) -> None:
        self.words: list[str] = []

    def on_word(self, word: str) -> None:
        self.words.append(word)


def test_an_observer_that_fails_stops_no_other(caplog: pytest.LogCaptureFixture) -> None:
    kept = Keeping()
    both = guarded(Heard, [Failing(), kept])
    with caplog.at_level(logging.WARNING):
        both.on_word("one")
        both.on_word("two")
    assert kept.words == ["one", "two"]
    assert [each.getMessage() for each in caplog.records] == [
        "Failing.on_word failed, and the work goes on: OSError('no network')"
    ]
