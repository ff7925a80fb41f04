"""What the judge is told: one tick, the counts of each arm since the tick before.

A tick is one line of the run's tick file, so that whoever replays the file gets the same words.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import isfinite
from typing import Any, NamedTuple


class Count(NamedTuple):
    """Requests and the bad ones among them. Whole numbers, 0 <= x <= n; anything else is no count."""

    n: int
    x: int


@dataclass(frozen=True, slots=True)
class ArmTick:
    """One release in one tick. A metric that is not in `counts` is unknown, which is not zero."""

    counts: Mapping[str, Count]
    age_s: float = 0.0  # of the sample the counts were taken from
    unusable: str = ""  # source_down, timeout, nan, …; empty: usable


class Memory(NamedTuple):
    """One instance of the new release. None: no sample."""

    share: float | None  # of its limit, 0..1
    mb: float | None


@dataclass(frozen=True, slots=True)
class Tick:
    at: float  # seconds since 1970; a tick that is not younger than the last one is ignored
    canary: ArmTick
    baseline: ArmTick | None  # None: no other release takes requests now
    crashes: int | None = 0  # exits and restarts of the new release that nobody asked for; None: could not be seen
    gauges: Mapping[str, tuple[float, float]] = field(default_factory=dict)  # means: new release, old release
    memory: Mapping[str, Memory] = field(default_factory=dict)  # by instance of the new release
    warming: bool = False  # an instance became ready so recently that its latency says nothing yet

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values. A figure that is no finite number becomes null, and null is never usable."""
        return {
            "at": self.at,
            "canary": _arm_json(self.canary),
            "baseline": self.baseline and _arm_json(self.baseline),
            "crashes": self.crashes,
            "gauges": {name: [_finite(v) for v in pair] for name, pair in self.gauges.items()},
            "memory": {name: [_finite(v) for v in seen] for name, seen in self.memory.items()},
            "warming": self.warming,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "Tick":
        return cls(
            at=data["at"],
            canary=_arm(data["canary"]),
            baseline=_arm(data["baseline"]) if data["baseline"] else None,
            crashes=data["crashes"],
            gauges={name: (pair[0], pair[1]) for name, pair in data["gauges"].items()},
            memory={name: Memory(*seen) for name, seen in data["memory"].items()},
            warming=data["warming"],
        )


def _arm_json(arm: ArmTick) -> dict[str, Any]:
    counts = {name: [_finite(v) for v in count] for name, count in arm.counts.items()}
    return {"counts": counts, "age_s": _finite(arm.age_s), "unusable": arm.unusable}


def _arm(data: Mapping[str, Any]) -> ArmTick:
    counts = {name: Count(*pair) for name, pair in data["counts"].items()}
    return ArmTick(counts=counts, age_s=data["age_s"], unusable=data["unusable"])


def _finite(value: float | None) -> float | None:
    return value if value is not None and isfinite(value) else None


def problem(arm: ArmTick, metric: str, max_age_s: float) -> str:
    """Why an arm's count of a metric cannot be used, as a short code; empty when it can."""
    if arm.unusable:
        return arm.unusable
    if not _number(arm.age_s) or arm.age_s < 0:
        return "no_sample_time"
    if arm.age_s > max_age_s:
        return "stale"
    count = arm.counts.get(metric)
    if count is None:
        return "missing"
    n, x = count
    # `type is int` and not isinstance: a boolean or a float is no count, however whole it looks
    return "" if type(n) is int and type(x) is int and 0 <= x <= n else "not_a_count"


def _number(value: object) -> bool:
    return isinstance(value, (int, float)) and isfinite(value)
