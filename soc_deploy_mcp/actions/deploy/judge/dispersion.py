"""How bursty bad requests are. Retries and sticky sessions bind them in bursts to one arm, which the tests divide by.

Measured on two halves of the old release before the rollout: a common cause hits both and cancels out.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from math import sqrt

from soc_deploy_mcp.actions.deploy.judge.ticks import Count

MIN_EVENTS = 50
CAP = 20.0
_Z10 = -1.2815515655446004  # the normal distribution's 10 % point


@dataclass(frozen=True, slots=True)
class Dispersion:
    """Bad requests come in bursts of about k. `upper` is the 90 % bound, which the tests use."""

    k: float
    upper: float
    events: int


def k_hat(pairs: Iterable[tuple[Count, Count]]) -> Dispersion | None:
    """One pair a tick: counts of two halves of the old release. None below 50 bad requests.

    With p = n1/(n1+n2) and N bad requests in both, D = x1 - N p has the variance k N p (1-p); k is the mean of D²
    over it, never below 1.
    """
    squares, variance, events, ticks = 0.0, 0.0, 0, 0
    for one, two in pairs:
        bad = one.x + two.x
        if not bad or not one.n or not two.n:
            continue
        p = one.n / (one.n + two.n)
        squares += (one.x - bad * p) ** 2
        variance += bad * p * (1 - p)
        events, ticks = events + bad, ticks + 1
    if events < MIN_EVENTS:
        return None
    k = max(1.0, squares / variance)
    return Dispersion(min(k, CAP), min(k * ticks / _chi2_low(ticks), CAP), events)


def _chi2_low(degrees: int) -> float:
    """The 10 % point of the chi-squared distribution (Wilson & Hilferty 1931)."""
    part = 2 / (9 * degrees)
    return degrees * max(1 - part + _Z10 * sqrt(part), 0.05) ** 3
