"""Counts the fake world for the judge: whole requests since the last look, or nothing where nothing can be seen."""

import asyncio
from collections.abc import Mapping
from typing import Any

from soc_deploy_mcp.actions.deploy.judge import ArmTick, Count, Measured, Memory, Tick
from soc_deploy_mcp.actions.deploy.sight import Figures, Look
from soc_deploy_mcp.core.ids import Slug
from soc_deploy_mcp.core.plan import Plan
from tests.fakes.platform import FakePlatform, Served

PROBES = ("synthetic_errors", "synthetic_latency")


class FakeEyes:
    """`blind` makes both arms unusable: a source that is down."""

    def __init__(self, platform: FakePlatform, plan: Plan) -> None:
        self.platform, self.plan = platform, plan
        self.blind = ""
        self.synthetic = False
        self.rate = plan.settings.judge.synthetic_rate
        self._seen: dict[str, list[int]] = {}
        self._restarts = 0
        self._since = 0.0

    async def measure(self) -> Measured:
        await asyncio.sleep(1.0)
        old = self.plan.old
        tally = self._tally(old.slug if old else None)
        if tally is None or not tally.requests:
            return Measured(rps=self.platform.rps or None)
        count = Count(int(tally.requests), int(tally.errors))
        slow = Count(int(tally.requests), int(tally.slow))
        return Measured(
            rps=self.platform.rps,
            before={"errors": count, "latency": slow},
            bounds_ms={"latency": 100.0, "latency_slo": 200.0},
            k={"latency": 1.0},
        )

    async def probe_baseline(self, measured: Measured) -> Measured:
        await asyncio.sleep(10.0)
        return measured

    async def open(self, measured: Measured, *, synthetic: bool, state: Any | None) -> None:
        self.synthetic, self._since = synthetic, self.platform.clock.monotonic()
        self.platform.advance()
        if state is not None:
            self._seen, self._restarts = {k: list(v) for k, v in state["seen"].items()}, state["restarts"]
            return
        self._seen = {slug: self._whole(slug) for slug in (self.plan.new.slug, *self._old())}

    def _old(self) -> tuple[Slug, ...]:
        return (self.plan.old.slug,) if self.plan.old else ()

    def _tally(self, slug: Slug | None) -> Served | None:
        self.platform.advance()
        return self.platform.served.get(slug) if slug else None

    def _whole(self, slug: Slug) -> list[int]:
        tally = self._tally(slug) or Served()
        return [int(tally.requests), int(tally.errors), int(tally.slow)]

    async def look(self) -> Look:
        now = self.platform.clock.monotonic()
        seconds, self._since = now - self._since, now
        canary = self._arm(self.plan.new.slug, seconds)
        old = self._old()
        baseline = self._arm(old[0], seconds) if old and self.platform.weights.get(old[0]) else None
        restarts = sum(i.restarts for i in self.platform.instances.get(self.plan.new.slug, []))
        crashes, self._restarts = max(0, restarts - self._restarts), restarts
        tick = Tick(self.platform.clock.wall(), canary, baseline, crashes=crashes, memory={"one": Memory(0.2, 50.0)})
        return Look(tick, await self.platform.observe(self.plan.target))

    def _arm(self, slug: Slug, seconds: float) -> ArmTick:
        whole = self._whole(slug)
        before = self._seen.get(slug, [0, 0, 0])
        self._seen[slug] = whole
        n, errors, slow = (max(0, a - b) for a, b in zip(whole, before, strict=True))
        counts: dict[str, Count] = {
            "errors": Count(n, min(errors, n)),
            "latency": Count(n, min(slow, n)),
            "latency_slo": Count(n, min(slow, n)),
        }
        if self.synthetic and slug in self.platform.instances:
            counts |= self._probes(slug, seconds)
        return ArmTick(counts, unusable=self.blind)

    def _probes(self, slug: Slug, seconds: float) -> Mapping[str, Count]:
        sent, how = int(self.rate * seconds), self.platform.behaviour(slug)
        return {name: Count(sent, int(sent * bad)) for name, bad in zip(PROBES, (how.errors, how.slow), strict=True)}

    def state(self) -> Any:
        return {"seen": {str(k): list(v) for k, v in self._seen.items()}, "restarts": self._restarts}

    async def close(self) -> None:
        self.synthetic = False

    async def figures(self, release: Slug, window_s: float) -> Figures:
        tally = self._tally(release)
        if tally is None or not tally.requests or self.blind:
            return Figures()
        rate = tally.errors / tally.requests
        return Figures(12.0, rate, int(tally.requests), 0, 0.1, 0.2)

    async def lost(self) -> int | None:
        return int(self.platform.lost)
