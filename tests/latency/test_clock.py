from __future__ import annotations

from collections.abc import Callable

import pytest

from ir2search.latency import clock, time_in_turns


@pytest.fixture(autouse=True)
def usual_warm_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clock, "MIN_WARM_UP", 0.2)


class _World:
    """A clock that advances only while a call runs."""

    def __init__(self) -> None:
        self.now = 0.0
        self.log: list[str] = []

    def takes(self, name: str, seconds: Callable[[int], float]) -> Callable[[], None]:
        def way() -> None:
            self.now += seconds(self.log.count(name))
            self.log.append(name)

        return way


def test_median_and_quartiles_are_those_of_the_calls() -> None:
    world = _World()
    ways = {"saw": world.takes("saw", lambda call: 0.03 + 0.01 * (call % 4))}
    found = time_in_turns(ways, seconds=40, clock=lambda: world.now)["saw"]
    assert found.median == pytest.approx(0.045, abs=1e-3)
    assert found.low == pytest.approx(0.0375, abs=3e-3)
    assert found.high == pytest.approx(0.0525, abs=3e-3)


def test_calls_of_the_first_moments_are_not_counted() -> None:
    """Caches and clocks of a processor are slow at first."""
    world = _World()
    ways = {"cold": world.takes("cold", lambda call: 0.01 if world.now < 0.15 else 0.001)}
    found = time_in_turns(ways, seconds=1, clock=lambda: world.now)["cold"]
    assert (found.low, found.high) == (pytest.approx(0.001), pytest.approx(0.001))


def test_a_machine_that_slows_down_does_not_change_the_ratio_of_calls() -> None:
    """One call takes twice as long as the other. From some time on, both take ten times as long."""
    world = _World()
    slow = [1.0]

    def throttled(base: float) -> Callable[[int], float]:
        def seconds(call: int) -> float:
            slow[0] = 10.0 if world.now > 3 else 1.0
            return base * slow[0]

        return seconds

    ways = {name: world.takes(name, throttled(base)) for name, base in (("a", 1e-3), ("b", 2e-3))}
    found = time_in_turns(ways, seconds=3, clock=lambda: world.now)
    assert found["b"].median / found["a"].median == pytest.approx(2)


def test_calls_take_turns_and_the_first_call_of_a_turn_is_not_counted() -> None:
    world = _World()
    last = [""]

    def cold(name: str) -> Callable[[int], float]:
        def seconds(call: int) -> float:
            first, last[0] = last[0] != name, name
            return 0.5 if first else 0.005

        return seconds

    ways = {name: world.takes(name, cold(name)) for name in ("a", "b")}
    found = time_in_turns(ways, seconds=4, clock=lambda: world.now)
    assert [timing.high for timing in found.values()] == [pytest.approx(0.005)] * 2
    turns = [name for name, before in zip(world.log, ["", *world.log], strict=False)
             if name != before]  # fmt: skip
    assert turns == ["a", "b"] * (len(turns) // 2)
    assert len(turns) >= 8
