"""Functions over one series in a window of time: pure, samples in, one number or nothing out.

Semantics: Prometheus (https://prometheus.io/docs/prometheus/latest/querying/functions/, promql/functions.go).
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from soc_deploy_mcp.tools.metrics.vector_math import largest, smallest


@dataclass(frozen=True, slots=True)
class Window:
    """The samples of a series in a window, oldest first, at least one; times in ms since 1970."""

    times: Sequence[int]
    values: Sequence[float]
    start_ms: int
    end_ms: int
    zero_cap_first: bool  # Prometheus 2: the counter's zero limits the way to the window's start before the threshold

    @property
    def seconds(self) -> float:
        return (self.end_ms - self.start_ms) / 1000


RangeFunction = Callable[[Window], float | None]


def _rise(window: Window) -> float:
    """Last minus first, with what each reset hid added back."""
    values = window.values
    hidden = sum(a for a, b in pairwise(values) if b < a)
    return values[-1] - values[0] + hidden


def _extrapolated(window: Window, change: float, counter: bool) -> float | None:
    """The change as it would be over the whole window: towards both edges, at most half a spacing past a gap."""
    times, n = window.times, len(window.times)
    if n < 2:
        return None
    sampled = (times[-1] - times[0]) / 1000
    spacing = sampled / (n - 1)
    threshold = spacing * 1.1
    to_start, to_end = (times[0] - window.start_ms) / 1000, (window.end_ms - times[-1]) / 1000
    to_zero = math.inf
    if counter and change > 0 and window.values[0] >= 0:
        to_zero = sampled * (window.values[0] / change)
    if window.zero_cap_first:
        to_start = min(to_start, to_zero)
        to_start = to_start if to_start < threshold else spacing / 2
    else:
        to_start = min(to_start if to_start < threshold else spacing / 2, to_zero)
    to_end = to_end if to_end < threshold else spacing / 2
    return change * ((sampled + to_start + to_end) / sampled)


def increase(window: Window) -> float | None:
    return _extrapolated(window, _rise(window), counter=True)


def rate(window: Window) -> float | None:
    risen = increase(window)
    return None if risen is None else risen / window.seconds


def delta(window: Window) -> float | None:
    return _extrapolated(window, window.values[-1] - window.values[0], counter=False)


def irate(window: Window) -> float | None:
    if len(window.times) < 2:
        return None
    before, last = window.values[-2], window.values[-1]
    return (last if last < before else last - before) / ((window.times[-1] - window.times[-2]) / 1000)


def changes(window: Window) -> float:
    pairs = pairwise(window.values)
    return float(sum(a != b and not (math.isnan(a) and math.isnan(b)) for a, b in pairs))


def resets(window: Window) -> float:
    return float(sum(b < a for a, b in pairwise(window.values)))


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def _variance(window: Window) -> float:
    mean = _mean(window.values)
    return _mean([(v - mean) ** 2 for v in window.values])


def quantile(q: float, values: Sequence[float]) -> float:
    """The q-quantile with linear interpolation between neighbours; ±Inf outside [0, 1]."""
    if math.isnan(q) or not values:
        return math.nan
    if not 0 <= q <= 1:
        return math.copysign(math.inf, q)
    ordered = sorted(values, key=lambda v: (not math.isnan(v), v))
    rank = q * (len(ordered) - 1)
    low = math.floor(rank)
    weight = rank - low
    return ordered[low] * (1 - weight) + ordered[min(low + 1, len(ordered) - 1)] * weight


FUNCTIONS: dict[str, RangeFunction] = {
    "rate": rate,
    "increase": increase,
    "delta": delta,
    "irate": irate,
    "changes": changes,
    "resets": resets,
    "avg_over_time": lambda window: _mean(window.values),
    "min_over_time": lambda window: smallest(window.values),
    "max_over_time": lambda window: largest(window.values),
    "sum_over_time": lambda window: sum(window.values),
    "count_over_time": lambda window: float(len(window.values)),
    "last_over_time": lambda window: window.values[-1],
    "present_over_time": lambda _window: 1.0,
    "stddev_over_time": lambda window: math.sqrt(_variance(window)),
    "stdvar_over_time": _variance,
}
KEEP_THE_NAME = frozenset({"last_over_time"})
