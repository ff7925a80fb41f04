"""What the judge will be able to see: before the rollout, at the traffic that was measured.

Two questions a step: the smallest regression that is found, and how long a healthy release waits to be accepted.
"""

from collections.abc import Callable
from dataclasses import dataclass
from math import erf, exp, inf, lgamma, log, sqrt

from soc_deploy_mcp.actions.deploy.judge import eprocess as e
from soc_deploy_mcp.actions.deploy.judge.types import MetricSpec

_FOUND = 0.84  # normal deviate: found in 80 % of the rollouts
_OVERSHOOT = 1.5  # nats that the mixture and the discrete counts cost
_LARGEST = 200.0
_QUANTILES = (0.1, 0.3, 0.5, 0.7, 0.9)
_NORMAL_FROM = 200.0  # expected events from which a Poisson count is treated as normal


@dataclass(frozen=True, slots=True)
class Power:
    ratio: float | None  # smallest regression found with 80 % within the step; None: none
    accept_s: float | None  # half of the healthy releases are accepted by then; None: not within the step
    accept_chance: float  # a healthy release is accepted within the step


def power(spec: MetricSpec, rps_new: float, rps_old: float, max_s: float, alpha: float, beta: float) -> Power:
    """`rps_old` is 0 where the old release takes no requests. Without requests nothing can be seen."""
    if rps_new <= 0:
        return Power(None, None, 0.0)
    ratio = minimal_ratio(spec, rps_new, rps_old, max_s, alpha)

    def chance(seconds: float) -> float:
        return accept_chance(spec, rps_new * seconds, rps_old * seconds, beta)

    at_end = chance(max_s)
    return Power(ratio, _first(lambda s: chance(s) >= 0.5, 1.0, max_s) if at_end >= 0.5 else None, at_end)


# --- the smallest regression


def minimal_ratio(spec: MetricSpec, rps_new: float, rps_old: float, seconds: float, alpha: float) -> float | None:
    """Smallest ratio to the old release's rate that REJECT or the guard proves with 80 % in the given time.

    Where the old release's rate is below the floor the ratio is meant to the floor: what is below does not matter.
    """
    base = max(spec.base_rate or 0.0, spec.floor)
    if base <= 0:
        return None

    def found(ratio: float) -> bool:
        rate = min(base * ratio, 0.99)
        n_c, n_b = rps_new * seconds, rps_old * seconds
        return _rejected(spec, n_c, n_b, rate, base, alpha) or _guarded(spec, n_c, rate, alpha)

    return _first(found, 1.0, _LARGEST) if found(_LARGEST) else None


def _rejected(spec: MetricSpec, n_c: float, n_b: float, rate: float, base: float, alpha: float) -> bool:
    if not n_b or not spec.relative_weight:
        return False
    needed = _needed(spec.relative_weight, alpha)
    bad_c, bad_b = n_c * rate, n_b * base
    at_r0 = n_c * spec.r0 + n_b
    worse = max(
        _reached(bad_c, ln_ratio + log(at_r0 / (n_c * r + n_b)), bad_b, log(at_r0 / (n_c * r + n_b)), 0.0, spec)
        for r, ln_ratio in e.worse_ratios(spec.r0)
    )
    return worse >= needed and (spec.floor <= 0 or _above(spec, spec.floor, n_c, rate) >= needed)


def _guarded(spec: MetricSpec, n_c: float, rate: float, alpha: float) -> bool:
    return spec.guard_weight > 0 and _above(spec, spec.abort_above, n_c, rate) >= _needed(spec.guard_weight, alpha)


def _above(spec: MetricSpec, theta: float, n: float, rate: float) -> float:
    """Nats that 80 % of the rollouts reach against "not above theta"."""
    rates = e.rates_above(theta)
    reached = (_reached(n * rate, bad - good, 0.0, 0.0, n * good, spec) for bad, good in rates)
    return max(reached, default=-inf)


def _reached(bad_c: float, u: float, bad_b: float, v: float, steady: float, spec: MetricSpec) -> float:
    """A sum of Poisson counts times their nats, less 0.84 standard deviations; all events divided by k."""
    return (steady + bad_c * u + bad_b * v - _FOUND * sqrt(bad_c * u * u + bad_b * v * v)) / spec.k_reject


def _needed(weight: float, alpha: float) -> float:
    return -log(alpha) - log(weight) + log(2) + _OVERSHOOT


# --- acceptance of a healthy release


def accept_chance(spec: MetricSpec, n_c: float, n_b: float, beta: float) -> float:
    """Chance that a release with the old one's rate is accepted after n_c requests (and n_b of the old one).

    Exact for the absolute test; for the comparison the old release's bad requests are taken at five quantiles.
    """
    rate = spec.base_rate or 0.0
    many = [_quantile(p, n_b * rate) for p in _QUANTILES] if n_b and spec.relative_weight else [0]
    chances = [_at_most(_most_bad(spec, round(n_c), round(n_b), x_b, beta), n_c * rate) for x_b in many]
    return sum(chances) / len(chances)


def _most_bad(spec: MetricSpec, n_c: int, n_b: int, x_b: int, beta: float) -> int:
    """The largest number of bad requests with which the new release is still accepted; -1: not even with none."""
    if n_c < 1:
        return -1

    def refused(x_c: int) -> bool:
        return _ln_safe(spec, n_c, x_c, n_b, x_b) < -log(beta)

    if refused(0):
        return -1
    low, high = 0, n_c  # accepted with low, refused with high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if refused(middle) else (middle, high)
    return low


def _ln_safe(spec: MetricSpec, n_c: int, x_c: int, n_b: int, x_b: int) -> float:
    parts = []
    if n_b and spec.relative_weight:
        ratios = e.better_ratios(spec.r_bad)
        parts.append(e.ln_not_worse(e.compare(ratios, spec.r_bad, n_c, x_c, n_b, x_b, spec.k_accept)))
    if spec.theta_ok is not None:
        parts.append(e.ln_low_enough(spec.theta_ok, spec.base_rate, n_c, x_c, spec.k_accept))
    return e.ln_mean(parts, (1 / len(parts),) * len(parts)) if parts else -inf


def _first(holds: Callable[[float], bool], low: float, high: float) -> float:
    """The smallest value in (low, high] for which a rising condition holds, to a hundredth of itself."""
    if holds(low):
        return low
    while high > low * 1.01:
        middle = sqrt(low * high)
        low, high = (low, middle) if holds(middle) else (middle, high)
    return high


def _at_most(x: int, mean: float) -> float:
    """P(Poisson(mean) <= x)."""
    if x < 0:
        return 0.0
    if mean <= 0:
        return 1.0
    if mean > _NORMAL_FROM:
        return 0.5 * (1 + erf((x + 0.5 - mean) / sqrt(2 * mean)))
    return min(1.0, sum(exp(i * log(mean) - mean - lgamma(i + 1)) for i in range(x + 1)))


def _quantile(p: float, mean: float) -> int:
    low, high = -1, int(mean + 10 * sqrt(mean) + 10)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if _at_most(middle, mean) >= p else (middle, high)
    return high
