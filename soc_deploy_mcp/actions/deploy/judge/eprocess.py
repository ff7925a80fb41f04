"""Sequential tests on counts: e-values, which may be looked at after every tick.

An e-value is a likelihood ratio against the nearest hypothesis still to be refuted. While that hypothesis is true its
expectation is at most 1 whatever happened before, so by Ville's inequality it ever reaches 1/alpha with probability
at most alpha. Sources: Wald 1945; Robbins 1970 (mixtures); Lindon & Malek 2022 (multinomial counts); Howard et al.
2021. All divisors k >= 1 keep that property (Jensen) and allow for events that come in bursts.

A `Mixture` spreads its bet over alternatives and over the tick in which the trouble starts: half on the first tick,
half equally on the later ones, so that a late regression is found nearly as fast as an early one.
"""

from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import exp, inf, log, log1p

_HUGE, _TINY = 1e100, 1e-100  # outside of these a mixture's masses are brought back to 1, the rest is in its scale
_MOST = 700.0  # nats; the exponential of more is no float
_LEAP = 50.0  # nats in one tick from which on the scale moves before the masses do


@dataclass(frozen=True, slots=True)
class Mixture:
    """Masses per alternative; the true ones are `mass * e**scale`. `shared` belongs to each of them."""

    mass: "array[float]"  # never changed in place; a third of a tuple's size, and a state holds three of them
    shared: float = 0.0  # starts since the last tick with an event: the same for every alternative
    scale: float = 0.0
    ticks: int = 0


def masses(values: Iterable[float]) -> "array[float]":
    return array("d", values)


def fresh(points: int) -> Mixture:
    return Mixture(masses([0.0] * points))


def start_mass(tick: int, planned: int) -> float:
    """Share of the bet on trouble that starts in this tick (1, 2, …). None after the planned last one."""
    if tick > planned:
        return 0.0
    if tick == 1:
        return 1.0 if planned == 1 else 0.5
    return 0.5 / (planned - 1)


def not_started(tick: int, planned: int) -> float:
    """Share of the bet that is still to be placed after this tick. In closed form: 1 - sum ends below zero."""
    if tick == 0:
        return 1.0
    return 0.0 if tick >= planned else (planned - tick) / (2 * (planned - 1))


def grow(mixture: Mixture, increments: Sequence[float], planned: int) -> Mixture:
    """One tick with data. `increments` are log-likelihood ratios, one an alternative, already divided by k."""
    tick, scale = mixture.ticks + 1, mixture.scale
    begin = mixture.shared + _scaled(start_mass(tick, planned), scale)
    top = max(increments)
    leap = top if top > _LEAP else 0.0
    mass = masses([(m + begin) * exp(i - leap) for m, i in zip(mixture.mass, increments, strict=True)])
    scale += leap
    peak = max(mass)
    if peak > _HUGE or (peak < _TINY and scale > 0):
        return _rescaled(mass, peak, scale, tick)
    return Mixture(mass, 0.0, scale, tick)


def rest(mixture: Mixture, planned: int) -> Mixture:
    """One tick with requests and without anything to compare: every likelihood ratio is 1."""
    begin = _scaled(start_mass(mixture.ticks + 1, planned), mixture.scale)
    return Mixture(mixture.mass, mixture.shared + begin, mixture.scale, mixture.ticks + 1)


def dropped(mixture: Mixture) -> Mixture:
    """The same test without what it has gathered. Less mass can only make it slower, never wrong."""
    return Mixture(masses([0.0] * len(mixture.mass)), 0.0, 0.0, mixture.ticks)


def ln_e(mixture: Mixture, planned: int) -> float:
    """The logarithm of the e-value. 0 before the first tick and for a test without alternatives."""
    if not mixture.mass:
        return 0.0
    gathered = sum(mixture.mass) / len(mixture.mass) + mixture.shared
    total = gathered + _scaled(not_started(mixture.ticks, planned), mixture.scale)
    return mixture.scale + log(total) if total > 0 else -inf


def _scaled(mass: float, scale: float) -> float:
    return mass if scale == 0.0 else mass * exp(-scale)


def _rescaled(mass: "array[float]", peak: float, scale: float, tick: int) -> Mixture:
    if peak == 0.0:
        return Mixture(mass, 0.0, 0.0, tick)
    # The scale never goes below 0, so that a new start is never larger than it is written.
    shift = max(log(peak), -scale, -_MOST)
    factor = exp(-shift)
    return Mixture(masses([m * factor for m in mass]), 0.0, scale + shift, tick)


# --- grids of alternatives


def spaced(low: float, high: float, points: int) -> tuple[float, ...]:
    """Log-spaced, both ends included."""
    step = log(high / low) / (points - 1)
    return tuple(low * exp(step * i) for i in range(points))


@lru_cache(maxsize=256)
def worse_ratios(r0: float) -> tuple[tuple[float, float], ...]:
    """24 ratios above r0, each with ln(r/r0): 1.5 to 200 for the default r0 of 1.25."""
    return tuple((r, log(r / r0)) for r in spaced(1.2 * r0, max(200.0, 4 * r0), 24))


@lru_cache(maxsize=256)
def better_ratios(r_bad: float) -> tuple[tuple[float, float], ...]:
    """Ratio 1, then 16 ratios below r_bad (0.2 to 1.6 for 2), each with ln(r/r_bad)."""
    return tuple((r, log(r / r_bad)) for r in (1.0, *spaced(0.1 * r_bad, 0.8 * r_bad, 16)))


@lru_cache(maxsize=256)
def rates_above(theta: float) -> tuple[tuple[float, float], ...]:
    """16 rates from twice theta up, as log-likelihood ratios of one bad and of one good request. None near 1."""
    multiples = spaced(2.0, max(4.0, 0.9 / theta), 16)
    return tuple(_bernoulli(g, theta) for g in (min(0.98, theta * m) for m in multiples) if g > theta)


_BELOW = (0.01, 0.05, 0.1, 0.2, 0.35, 0.5, 0.65, 0.8)


@lru_cache(maxsize=256)
def rates_below(theta: float) -> tuple[tuple[float, float], ...]:
    """8 shares of theta, as `rates_above`."""
    return tuple(_bernoulli(theta * share, theta) for share in _BELOW)


@lru_cache(maxsize=256)
def below_weights(theta: float, base_rate: float | None) -> tuple[float, ...]:
    """Half of the bet on the rate nearest to what the old release was measured at; equal when that is unknown."""
    if base_rate is None:
        return (1 / len(_BELOW),) * len(_BELOW)
    share = max(base_rate / theta, _BELOW[0])
    nearest = min(_BELOW, key=lambda b: abs(log(b / share)))
    return tuple(0.5 if b == nearest else 0.5 / (len(_BELOW) - 1) for b in _BELOW)


def _bernoulli(g: float, theta: float) -> tuple[float, float]:
    return log(g / theta), log1p(-g) - log1p(-theta)


# --- increments of one tick


def compare(
    ratios: Sequence[tuple[float, float]], limit: float, n_c: int, x_c: int, n_b: int, x_b: int, k: float
) -> list[float]:
    """Against theta_c = limit * theta_b (at most, for ratios above it; at least, for ratios below).

    Given the totals a bad request is the new release's with q(r) = n_c r / (n_c r + n_b); this is the log-likelihood
    ratio of q(r) to q(limit) in a form that loses no digits when one arm is much larger. Needs n_c, n_b > 0.
    """
    bad_c, bad, at_limit = x_c / k, (x_c + x_b) / k, n_c * limit + n_b
    return [bad_c * ln_ratio + bad * log(at_limit / (n_c * r + n_b)) for r, ln_ratio in ratios]


def alone(rates: Sequence[tuple[float, float]], n: int, x: int, k: float) -> list[float]:
    """One arm against a fixed rate; `rates` from `rates_above` or `rates_below`."""
    bad, good = x / k, (n - x) / k
    return [bad * ln_bad + good * ln_good for ln_bad, ln_good in rates]


def ln_mean(values: Sequence[float], weights: Sequence[float]) -> float:
    """ln(sum of weight * e**value), the largest taken out."""
    top = max(values)
    if top == -inf:
        return -inf
    return top + log(sum([w * exp(v - top) for v, w in zip(values, weights, strict=True)]))


BETTER_WEIGHTS = (0.5, *(0.5 / 16,) * 16)  # half of the bet on "no change", where a healthy release is


def ln_not_worse(increments: Sequence[float]) -> float:
    """ACCEPT's comparison: sums of `compare` over `better_ratios` in this step."""
    return ln_mean(increments, BETTER_WEIGHTS)


def ln_low_enough(theta: float, base_rate: float | None, n: int, x: int, k: float) -> float:
    """ACCEPT's absolute test of theta_c >= theta; the counts of this step say it all."""
    return ln_mean(alone(rates_below(theta), n, x, k), below_weights(theta, base_rate))


_SHARES = tuple(0.505 + 0.49 * i / 23 for i in range(24))


def ln_signs(above: int, below: int) -> float:
    """Blocks in which the new release was above and not above the limit; a fair coin is the hypothesis."""
    values = [above * log(2 * g) + below * log(2 * (1 - g)) for g in _SHARES]
    return ln_mean(values, (1 / len(_SHARES),) * len(_SHARES))
