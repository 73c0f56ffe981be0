"""The values that a study can give to a searched parameter: a list, or a range."""

from __future__ import annotations

import math
import random
from dataclasses import dataclass

Value = bool | int | float | str


@dataclass(frozen=True)
class Choice:
    """A searched parameter with a list of values."""

    values: tuple[Value, ...]

    def __str__(self) -> str:
        return ", ".join(map(str, self.values))


@dataclass(frozen=True)
class Range:
    """A searched parameter with values from ``low`` to ``high``, both included.

    Attributes:
        low: the smallest value.
        high: the largest value.
        step: distance between values; by default 1 if both ends are whole numbers, else none.
        log: whether values are drawn on a logarithmic scale.
    """

    low: int | float
    high: int | float
    step: int | float | None = None
    log: bool = False

    def __str__(self) -> str:
        steps = f" in steps of {self.step}" if self.step else ""
        return f"{self.low} to {self.high}{steps}{', logarithmic' if self.log else ''}"

    @property
    def is_whole(self) -> bool:
        """Whether all values are whole numbers."""
        ends = isinstance(self.low, int) and isinstance(self.high, int)
        return ends and float(self.step or 1).is_integer()

    @property
    def count(self) -> int | None:
        """Number of values; None for a continuous range."""
        if self.step is None and not self.is_whole:
            return None
        steps = min((self.high - self.low) / self._step, 2**53)  # may be infinite
        return math.floor(steps + 1e-9) + 1

    def values(self) -> tuple[Value, ...] | None:
        """All values; None for a continuous range."""
        if self.count is None:
            return None
        return tuple(self.low + self._step * i for i in range(self.count))

    @property
    def _step(self) -> int | float:
        return int(self.step or 1) if self.is_whole else self.step or 1


Domain = Choice | Range


def ends(domain: Domain) -> tuple[Value, ...]:
    """All values of a choice, or the smallest and the largest value of a range."""
    return domain.values if isinstance(domain, Choice) else (domain.low, domain.high)


def values_of(domain: Domain) -> tuple[Value, ...] | None:
    """All values of a domain; None if it is continuous."""
    return domain.values if isinstance(domain, Choice) else domain.values()


def draw(domain: Domain, generator: random.Random) -> Value:
    """A random value of a domain."""
    values = values_of(domain)
    if values is not None:
        return generator.choice(values)
    assert isinstance(domain, Range)
    if domain.log:
        return math.exp(generator.uniform(math.log(domain.low), math.log(domain.high)))
    return generator.uniform(domain.low, domain.high)
