"""What the load generator counts, for the live view, the record and the summary. Standard library only.

Failures are told apart by who failed. `version`: the version's own answer, a status of 400 or more that carries
`x-shop-version`; nothing is lost. The others are `LOST`: `router` is such an answer without that header, `refused`,
`reset`, `closed`, `timeout` and `protocol` are the transport's, `local` says that this process could not even try.
"""

import json
import math
import time
from collections import Counter, deque
from dataclasses import dataclass, field
from typing import Any

LOST = ("router", "refused", "reset", "closed", "timeout", "protocol", "local")
PERIOD_S = 0.5  # the counters are published this often
RECENT = 4  # so many periods are "recent"


@dataclass(frozen=True, slots=True)
class Outcome:
    """One request as its user saw it. `error` is "" when it was served, else `version` or one of LOST."""

    kind: str  # get | post | slow
    at: float  # when it was due, seconds since the epoch
    ms: float
    status: int = 0  # 0: no answer
    version: str = "none"  # none: no version answered
    error: str = ""

    def line(self) -> str:
        """As a line of the record (JSON). Built by hand: it is written for each request."""
        return (
            f'{{"t":{self.at:.4f},"kind":"{self.kind}","ms":{self.ms:.2f},"status":{self.status},'
            f'"version":{json.dumps(self.version)},"error":"{self.error}"}}\n'
        )


class Latencies:
    """A histogram with bounds 2 % apart: percentiles of any number of requests in constant memory, within 2 %."""

    def __init__(self) -> None:
        self.counts: Counter[int] = Counter()

    def add(self, ms: float) -> None:
        self.counts[math.ceil(math.log(max(ms, 0.001)) * 50)] += 1

    def percentile(self, share: float) -> float | None:
        """The bound in milliseconds that `share` (0 to 1) of all lie under. None: there are none."""
        wanted, seen = share * self.counts.total(), 0
        for bucket in sorted(self.counts):
            seen += self.counts[bucket]
            if seen >= wanted:
                return round(math.exp(bucket / 50), 2)
        return None

    def to_json(self) -> dict[str, float | None]:
        return {"p50": self.percentile(0.5), "p95": self.percentile(0.95), "p99": self.percentile(0.99)}


@dataclass
class Count:
    """Requests of one group. Two-second requests are counted; their latency says nothing and is left out."""

    ok: int = 0
    failed: int = 0
    errors: Counter[str] = field(default_factory=Counter)
    latencies: Latencies = field(default_factory=Latencies)

    def add(self, outcome: Outcome) -> None:
        if outcome.error:
            self.failed += 1
            self.errors[outcome.error] += 1
        else:
            self.ok += 1
        if outcome.status and outcome.kind != "slow":
            self.latencies.add(outcome.ms)

    def merge(self, other: "Count") -> None:
        self.ok += other.ok
        self.failed += other.failed
        self.errors.update(other.errors)
        self.latencies.counts.update(other.latencies.counts)

    def to_json(self) -> dict[str, Any]:
        return {
            "ok": self.ok,
            "failed": self.failed,
            "lost": sum(self.errors[name] for name in LOST),
            "by_class": dict(sorted(self.errors.items())),
            "ms": self.latencies.to_json(),
        }


@dataclass
class Tally:
    """All that was counted. `sent` = ok + failed + those under way."""

    started: float = field(default_factory=time.time)
    sent: int = 0
    opened: int = 0
    stale: int = 0  # kept-alive connections found closed and put aside before use
    by_version: dict[str, Count] = field(default_factory=dict)
    periods: deque[dict[str, Count]] = field(default_factory=lambda: deque([{}], maxlen=RECENT))
    websockets: Counter[str] = field(default_factory=Counter)  # opened, messages, echoed, refused, closed_<code>

    def add(self, outcome: Outcome) -> None:
        for group in (self.by_version, self.periods[-1]):
            group.setdefault(outcome.version, Count()).add(outcome)

    def next_period(self) -> None:
        self.periods.append({})

    def live(self) -> dict[str, Any]:
        """The counters so far, and by version what the last periods brought."""
        recent: dict[str, Count] = {}
        for period in self.periods:
            for version, count in period.items():
                recent.setdefault(version, Count()).merge(count)
        return self._totals(done=False) | {"recent": {"seconds": len(self.periods) * PERIOD_S} | _groups(recent)}

    def summary(self) -> dict[str, Any]:
        return self._totals(done=True)

    def _totals(self, done: bool) -> dict[str, Any]:
        every = Count()
        for count in self.by_version.values():
            every.merge(count)
        return {
            "done": done,
            "started": round(self.started, 3),
            "seconds": round(time.time() - self.started, 3),
            "sent": self.sent,
            "under_way": self.sent - every.ok - every.failed,
            **every.to_json(),
            **_groups(self.by_version),
            "connections": {"opened": self.opened, "stale": self.stale},
            "websockets": dict(sorted(self.websockets.items())),
            "cpu_s": round(time.process_time(), 3),
        }


def _groups(counts: dict[str, Count]) -> dict[str, Any]:
    return {"by_version": {version: count.to_json() for version, count in sorted(counts.items())}}
