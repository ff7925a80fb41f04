"""What a tick of the judge is made of: the counts of each release since the last look.

Every metric has its own count or its own gap. A gap is a reason in words; nothing here turns one into a zero.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from soc_deploy_mcp.core.config.settings import CustomCheck
from soc_deploy_mcp.core.metrics import ArmLabels, MetricsSource, SourceDown
from soc_deploy_mcp.tools.metrics import router_counts
from soc_deploy_mcp.tools.metrics.checks import CountedCheck, level
from soc_deploy_mcp.tools.metrics.counter_query import filled_in
from soc_deploy_mcp.tools.metrics.counts import CounterState, Unknown, observe
from soc_deploy_mcp.tools.metrics.probes import Counts
from soc_deploy_mcp.tools.metrics.router_counts import ArmCounts, RouterState
from soc_deploy_mcp.tools.metrics.routers import QUERIES


@dataclass(frozen=True, slots=True)
class Arm:
    """One release as its series know it."""

    labels: ArmLabels
    version: str  # v2.1.0
    release: str  # its slug


@dataclass(frozen=True, slots=True)
class ArmReading:
    """One arm since the last look. `unusable` says why the router's counts are not known; empty: they are."""

    metrics: Mapping[str, Counts | Unknown]
    gauges: Mapping[str, float | Unknown] = field(default_factory=dict)
    age_s: float | None = None  # of the router's page
    unusable: str = ""

    @property
    def counts(self) -> dict[str, Counts]:
        """Only what is known."""
        return {name: count for name, count in self.metrics.items() if isinstance(count, Counts)}


class ArmCounter:
    """Counts of each arm since the last call. The first call is the snapshot: it counts nothing.

    `arms`: by name, such as canary and baseline. `bounds_ms`: latency metric (`latency`, `latency_slo`) -> bound in
    ms, which must be one of the router's buckets. `state`: what `to_json` gave before a restart; the first read
    then covers the blind time.
    """

    def __init__(
        self,
        source: MetricsSource,
        arms: Mapping[str, Arm],
        *,
        max_age_s: float,
        bounds_ms: Mapping[str, float] | None = None,
        checks: Sequence[CustomCheck] = (),
        router: str = "envoy",
        state: Mapping[str, Any] | None = None,
    ) -> None:
        self._source, self._arms, self._max_age_s = source, dict(arms), max_age_s
        self._bounds_ms, self._queries = dict(bounds_ms or {}), QUERIES[router]
        self._checks = tuple(checks)
        self._router = RouterState.from_json(state["router"]) if state else RouterState()
        self._counted = {key: CounterState.from_json(s) for key, s in state["checks"].items()} if state else {}

    @property
    def started(self) -> bool:
        """Was the router read once? Without a snapshot there is nothing to count from."""
        return self._router.counters.started

    def to_json(self) -> dict[str, Any]:
        checks = {key: state.to_json() for key, state in self._counted.items()}
        return {"router": self._router.to_json(), "checks": checks}

    async def snapshot(self, at: float) -> None:
        """Begin to count here. Raises SourceDown when the router cannot be read: then nothing may be judged."""
        reading = await self.read(at)
        if reason := next((arm.unusable for arm in reading.values() if arm.unusable), ""):
            raise SourceDown(reason)

    async def read(self, at: float) -> dict[str, ArmReading]:
        """By arm, what was added since the last look at which it was known."""
        counted = await self._router_counts(at)
        return {name: await self._reading(name, arm, counted, at) for name, arm in self._arms.items()}

    async def _router_counts(self, at: float) -> Mapping[str, ArmCounts] | Unknown:
        labels = {name: arm.labels for name, arm in self._arms.items()}
        try:
            seen = await observe(self._source, router_counts.selectors(self._queries, labels.values()), at)
        except SourceDown as error:
            return Unknown(str(error))
        counted, self._router = router_counts.read(
            self._router,
            seen,
            at,
            queries=self._queries,
            arms=labels,
            bounds_ms=self._bounds_ms,
            max_age_s=self._max_age_s,
        )
        return counted

    async def _reading(self, name: str, arm: Arm, counted: Mapping[str, ArmCounts] | Unknown, at: float) -> ArmReading:
        checks = {c.name: await self._check(c, name, arm, at) for c in self._checks if c.gauge is None}
        gauges = {c.name: await self._gauge(c.gauge, arm, at) for c in self._checks if c.gauge is not None}
        if isinstance(counted, Unknown):
            return ArmReading(checks, gauges, unusable=counted.reason)
        return ArmReading({**counted[name].metrics, **checks}, gauges, counted[name].age_s)

    async def _check(self, check: CustomCheck, name: str, arm: Arm, at: float) -> Counts | Unknown:
        counted = CountedCheck.of(check.bad or "", check.total or "", version=arm.version, release=arm.release)
        key = f"{check.name}/{name}"
        try:
            seen = await observe(self._source, counted.selectors, at)
        except SourceDown as error:
            return Unknown(str(error))
        count, self._counted[key] = counted.read(self._counted.get(key, CounterState()), seen, at, self._max_age_s)
        return count

    async def _gauge(self, expr: str, arm: Arm, at: float) -> float | Unknown:
        filled = filled_in(expr, version=arm.version, release=arm.release)
        return await level(self._source, filled, at, self._max_age_s)
