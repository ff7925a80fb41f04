"""Sight of two releases on a real platform: users' requests by the router's counters, our probes, the instances."""

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from soc_deploy_mcp.actions.deploy import probes
from soc_deploy_mcp.actions.deploy.baseline import measured_by_probes, measured_by_router
from soc_deploy_mcp.actions.deploy.judge import ArmTick, Count, Measured, Memory, Tick
from soc_deploy_mcp.actions.deploy.sight import Figures, Look
from soc_deploy_mcp.core.errors import DeployError
from soc_deploy_mcp.core.ids import Slug
from soc_deploy_mcp.core.metrics import SourceDown
from soc_deploy_mcp.core.plan import Plan
from soc_deploy_mcp.core.platform import InstanceState, Observation, Platform
from soc_deploy_mcp.core.release import Release
from soc_deploy_mcp.engine.clock import Clock
from soc_deploy_mcp.tools.metrics import QUERIES, Arm, ArmCounter, ArmReading
from soc_deploy_mcp.tools.metrics.counts import Unknown
from soc_deploy_mcp.tools.metrics.history import Measured as Counted
from soc_deploy_mcp.tools.metrics.history import recent

NEW, OLD = "canary", "baseline"
PROBED_BASELINE_S = 10.0
LEAST_HISTORY_S = 3.0


class PlatformEyes:
    """`Eyes` over a Platform and its metric source."""

    def __init__(self, platform: Platform, plan: Plan, clock: Clock) -> None:
        self.platform, self.plan, self.clock = platform, plan, clock
        self.source = platform.metrics(plan.target)
        self.queries = QUERIES["envoy"]
        self.measured = Measured()
        judge = plan.settings.judge
        self.probing = probes.Probing(platform, plan.target, probes.paths(plan), judge.synthetic_rate, clock)
        self.counter: ArmCounter | None = None
        self.synthetic = False
        self._ended: dict[str, int] = {}  # instance -> exits and restarts of the new release seen so far
        self._ready_since: dict[str, float] = {}
        self._edge: tuple[int, int] | None = None  # 5xx at the entry and of instances when the run began to count

    # --- before the first weight

    async def measure(self) -> Measured:
        assert self.plan.old is not None
        await self._count_exits(await self._observe())  # what ends from here on is an end with users
        labels = self.platform.labels(self.plan.old.slug)
        for _ in range(int(LEAST_HISTORY_S * 4)):
            seen = await recent(self.source, self.queries, labels, self.clock.wall(), LEAST_HISTORY_S)
            if not isinstance(seen, Unknown) and (seen.seconds or 0.0) >= LEAST_HISTORY_S * 0.8:
                break
            await asyncio.sleep(0.25)
        return await measured_by_router(self.source, self.queries, labels, self.plan, self.clock.wall())

    async def probe_baseline(self, measured: Measured) -> Measured:
        assert self.plan.old is not None
        self.probing.start((self.plan.old.slug,))
        await asyncio.sleep(PROBED_BASELINE_S)
        await self.probing.stop()
        sent = self.probing.recent(self.plan.old.slug, PROBED_BASELINE_S)
        return measured_by_probes(measured, sent, self.plan.settings.health_checks.response_time.percentile)

    # --- counting

    async def open(self, measured: Measured, *, synthetic: bool, state: Any | None) -> None:
        self.measured, self.synthetic = measured, synthetic
        kept = state or {}
        self._ended = dict(kept.get("ended", self._ended))
        edge = kept.get("edge") or await self._made_by_router()
        self._edge = (edge[0], edge[1]) if edge else None
        arms = {NEW: self._arm(self.plan.new), **({OLD: self._arm(self.plan.old)} if self.plan.old else {})}
        self.counter = ArmCounter(
            self.source,
            arms,
            max_age_s=2 * self.plan.settings.judge.tick,
            bounds_ms={m: b for m, b in measured.bounds_ms.items() if m != probes.LATENCY},
            checks=self.plan.settings.judge.checks,
            state=kept.get("counter"),
        )
        if not kept:
            with suppress(SourceDown):  # the first read that works is the snapshot then; until it nothing is counted
                await self.counter.snapshot(self.clock.wall())
            if not self._ended:
                await self._count_exits(await self._observe())
        if synthetic:
            self.probing.start([r.slug for r in self._probed()])

    def _arm(self, release: Release) -> Arm:
        return Arm(self.platform.labels(release.slug), release.version, release.slug)

    def _probed(self) -> tuple[Release, ...]:
        return (self.plan.new, *((self.plan.old,) if self.plan.old else ()))

    async def look(self) -> Look:
        assert self.counter is not None
        now = self.clock.wall()
        seen = await self._observe()
        readings = await self.counter.read(now)
        crashes = await self._count_exits(seen)
        tick = Tick(
            at=now,
            canary=self._tick_of(self.plan.new.slug, readings[NEW]),
            baseline=self._baseline(seen, readings),
            crashes=crashes,
            gauges=_gauges(readings),
            memory=_memory(seen, self.plan.new.slug),
            warming=self._warming(seen),
        )
        return Look(tick, seen)

    def _baseline(self, seen: Observation | None, readings: Mapping[str, ArmReading]) -> ArmTick | None:
        old = self.plan.old
        if old is None or (seen is not None and not seen.weight(old.slug)):
            return None
        return self._tick_of(old.slug, readings[OLD])

    def _tick_of(self, slug: Slug, reading: ArmReading) -> ArmTick:
        counts = {name: Count(*count) for name, count in reading.counts.items()}
        if not self.synthetic:
            return ArmTick(counts, reading.age_s if reading.age_s is not None else 0.0, reading.unusable)
        sent = self.probing.taken(slug, self.measured.bounds_ms.get(probes.LATENCY))
        # What the router could not say is missing, metric by metric; our own answers are known all the same.
        return ArmTick(counts | sent, reading.age_s if reading.age_s is not None else 0.0)

    async def _observe(self) -> Observation | None:
        try:
            return await self.platform.observe(self.plan.target)
        except DeployError:
            return None

    async def _count_exits(self, seen: Observation | None) -> int | None:
        """Ends and restarts of the new release that nobody asked for, since the last look. None: not to be seen."""
        if seen is None:
            return None
        release = seen.releases.get(self.plan.new.slug)
        total = {i.name: i.restarts + (i.state in _GONE) for i in release.instances} if release else {}
        fresh = sum(max(0, count - self._ended.get(name, 0)) for name, count in total.items())
        self._ended |= total
        return fresh

    def _warming(self, seen: Observation | None) -> bool:
        """Is an instance of the new release ready for so short that its latency says nothing yet?"""
        release = seen.releases.get(self.plan.new.slug) if seen else None
        now, ready = self.clock.monotonic(), set[str]()
        for instance in release.instances if release else ():
            if instance.state is InstanceState.READY:
                ready.add(instance.name)
                self._ready_since.setdefault(instance.name, now)
        return any(now - self._ready_since[name] < self.plan.settings.judge.warmup for name in ready)

    def state(self) -> Any:
        return {"counter": self.counter.to_json() if self.counter else None, "ended": self._ended, "edge": self._edge}

    async def close(self) -> None:
        await self.probing.stop()

    # --- for people

    async def figures(self, release: Slug, window_s: float) -> Figures:
        labels, now = self.platform.labels(release), self.clock.wall()
        seen = await recent(self.source, self.queries, labels, now, window_s)
        cpu, memory = await self._level("cpu", release, window_s), await self._level("memory", release, window_s)
        if isinstance(seen, Unknown) or not seen.requests.n:
            return self._probed_figures(release, window_s, cpu, memory)
        return _figures(seen, cpu, memory)

    def _probed_figures(self, release: Slug, window_s: float, cpu: float | None, memory: float | None) -> Figures:
        sent = self.probing.recent(release, window_s)
        if not sent:
            return Figures(cpu=cpu, memory=memory)
        slowest = sorted(s.ms for s in sent)[min(len(sent) - 1, int(0.95 * len(sent)))]
        return Figures(slowest, sum(s.bad for s in sent) / len(sent), len(sent), len(sent), cpu, memory)

    async def _level(self, what: str, release: Slug, window_s: float) -> float | None:
        window = max(2, round(window_s))
        expr = f'max(avg_over_time(soc_instance_{what}_ratio{{release="{release}"}}[{window}s]))'
        with suppress(SourceDown):
            found = await self.source.query(expr, self.clock.wall())
            return found[0].value if found else None
        return None

    async def lost(self) -> int | None:
        """Answers 5xx that the router made without asking any instance, since this run began to count."""
        now = await self._made_by_router()
        if now is None or self._edge is None or now[0] < self._edge[0]:
            return None  # not to be read, or the router began anew
        return max(0, (now[0] - self._edge[0]) - (now[1] - self._edge[1]))

    async def _made_by_router(self) -> tuple[int, int] | None:
        """All 5xx at the entry, and those that came from or for an instance."""
        with suppress(SourceDown):
            now = self.clock.wall()
            edge, upstream = [await self.source.query(q, now) for q in (_EDGE_5XX, _UPSTREAM_5XX)]
            return round(edge[0].value) if edge else 0, round(upstream[0].value) if upstream else 0
        return None


_GONE = (InstanceState.EXITED, InstanceState.FAILED)
_EDGE_5XX = 'sum(envoy_http_downstream_rq_xx{envoy_http_conn_manager_prefix="edge",envoy_response_code_class="5"})'
_UPSTREAM_5XX = 'sum(envoy_cluster_upstream_rq_xx{envoy_response_code_class="5"})'


def _figures(seen: Counted, cpu: float | None, memory: float | None) -> Figures:
    return Figures(seen.quantile_ms(0.95), seen.error_ratio, seen.requests.n, 0, cpu, memory)


def _gauges(readings: Mapping[str, ArmReading]) -> dict[str, tuple[float, float]]:
    """Levels that are known of both releases."""
    new, old = readings[NEW].gauges, readings[OLD].gauges if OLD in readings else {}
    both = {name: (value, old[name]) for name, value in new.items() if name in old}
    return {n: (a, b) for n, (a, b) in both.items() if isinstance(a, float) and isinstance(b, float)}


def _memory(seen: Observation | None, slug: Slug) -> dict[str, Memory]:
    release = seen.releases.get(slug) if seen else None
    return {i.name: Memory(i.memory_ratio, i.memory_mb) for i in release.instances} if release else {}
