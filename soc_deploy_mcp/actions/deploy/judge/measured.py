"""What was measured of the old release before the first request to the new one, and what follows from it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import inf, sqrt
from typing import Any

from soc_deploy_mcp.actions.deploy.judge.ticks import Count

_Z95 = 1.6448536269514722  # the normal distribution's 95 % point
_MIN_BOUND_MS = 25.0  # below, the machine's scheduling decides


@dataclass(frozen=True, slots=True)
class Measured:
    """Frozen as evidence before the first weight. What is unknown is left out; nothing is guessed."""

    rps: float | None = None  # users' requests a second
    before: Mapping[str, Count] = field(default_factory=dict)  # by metric: the last hour; probes: their first seconds
    bounds_ms: Mapping[str, float] = field(default_factory=dict)  # latency, latency_slo, synthetic_latency
    k: Mapping[str, float] = field(default_factory=dict)  # by metric: the upper bound of `k_hat`
    requests_30d: float | None = None  # None: less than a day of history
    bursty: bool = False  # sticky sessions, or clients that are known to retry

    def rate(self, metric: str) -> float | None:
        count = self.before.get(metric)
        return count.x / count.n if count and count.n else None

    def upper(self, metric: str) -> float | None:
        count = self.before.get(metric)
        return upper_rate(count) if count and count.n else None

    def to_json(self) -> dict[str, Any]:
        return {
            "rps": self.rps,
            "before": {name: list(count) for name, count in self.before.items()},
            "bounds_ms": dict(self.bounds_ms),
            "k": dict(self.k),
            "requests_30d": self.requests_30d,
            "bursty": self.bursty,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "Measured":
        return cls(**{**data, "before": {name: Count(*pair) for name, pair in data["before"].items()}})


def upper_rate(count: Count) -> float:
    """The upper 95 % bound of a rate (Wilson 1927, one-sided)."""
    n, x = count
    rate, z2 = x / n, _Z95 * _Z95
    spread = _Z95 * sqrt(rate * (1 - rate) / n + z2 / (4 * n * n))
    return min(1.0, (rate + z2 / (2 * n) + spread) / (1 + z2 / n))


def latency_bound(buckets: Sequence[tuple[float, int]], percentile: int) -> float | None:
    """The smallest bucket bound (ms) at or under which `percentile` percent of the old release's requests are.

    `buckets`: (bound in ms, requests at or under it), rising, the last one being all requests. None: no such bound.
    Never below 25 ms.
    """
    total = buckets[-1][1] if buckets else 0
    if not total:
        return None
    fitting = (b for b, n in buckets if n * 100 >= total * percentile and _MIN_BOUND_MS <= b < inf)
    return next(fitting, None)
