"""What is read off many simulated rollouts: shares and quantiles, each with its 95 % interval."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import ceil, floor, inf, sqrt
from typing import Protocol

from tests.actions.judge.simulate import Outcome

Interval = tuple[float, float]

_Z2 = 3.841458821  # the square of the normal distribution's 97.5 % point


class Figure(Protocol):
    def of(self, outcomes: Sequence[Outcome]) -> float: ...
    def interval(self, outcomes: Sequence[Outcome]) -> Interval: ...


@dataclass(frozen=True)
class Share:
    """Of the rollouts for which something holds."""

    holds: Callable[[Outcome], bool]

    def of(self, outcomes: Sequence[Outcome]) -> float:
        return sum(map(self.holds, outcomes)) / len(outcomes)

    def interval(self, outcomes: Sequence[Outcome]) -> Interval:
        return wilson(sum(map(self.holds, outcomes)), len(outcomes))


@dataclass(frozen=True)
class UpperEnd:
    """The upper end of a share's interval: what a goal on a small share must be held against."""

    share: Share

    def of(self, outcomes: Sequence[Outcome]) -> float:
        return self.share.interval(outcomes)[1]

    def interval(self, outcomes: Sequence[Outcome]) -> Interval:
        return self.share.interval(outcomes)


@dataclass(frozen=True)
class Quantile:
    """Infinite when it falls on rollouts in which what is timed never happens."""

    value: Callable[[Outcome], float]
    at: float

    def of(self, outcomes: Sequence[Outcome]) -> float:
        ordered = sorted(map(self.value, outcomes))
        return ordered[min(len(ordered) - 1, int(self.at * len(ordered)))]

    def interval(self, outcomes: Sequence[Outcome]) -> Interval:
        """Between two ranks (binomial, by the normal approximation): no distribution is assumed."""
        ordered = sorted(map(self.value, outcomes))
        n = len(ordered)
        half = sqrt(_Z2 * n * self.at * (1 - self.at))
        low, high = floor(n * self.at - half), ceil(n * self.at + half)
        return ordered[max(0, low)], ordered[min(n - 1, high)]


def wilson(hits: int, runs: int) -> Interval:
    """The 95 % interval of a share (Wilson 1927)."""
    rate = hits / runs
    middle, half = rate + _Z2 / (2 * runs), sqrt(_Z2 * (rate * (1 - rate) / runs + _Z2 / (4 * runs * runs)))
    low, high = (middle - half) / (1 + _Z2 / runs), (middle + half) / (1 + _Z2 / runs)
    return (low if hits else 0.0), (high if hits < runs else 1.0)


def finite(value: float) -> float | None:
    return None if value == inf else value
