"""Our own requests on both releases, where users' are too few: paired in time, in random order, half of them on new
connections. They never enter users' counters; the judge hears of them under names of their own.
"""

import asyncio
import contextlib
import random
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import cycle
from statistics import median

from soc_deploy_mcp.actions.deploy.judge import Count
from soc_deploy_mcp.core.ids import Slug
from soc_deploy_mcp.core.plan import Plan
from soc_deploy_mcp.core.platform import PlatformReader, Probe
from soc_deploy_mcp.core.release import Target
from soc_deploy_mcp.engine.clock import Clock

ERRORS, LATENCY = "synthetic_errors", "synthetic_latency"
KEPT_S = 900.0  # how long answers are kept for the report's figures
SLOWER, SLOW_FROM_MS = 2.0, 25.0  # the rate halves when every release answers so much slower than at the start
LOOK_BACK_S = 5.0
IN_FLIGHT = 200
FRONT = "/"


@dataclass(frozen=True, slots=True)
class Sent:
    at: float  # monotonic
    release: Slug
    ms: float
    bad: bool


@dataclass(frozen=True, slots=True)
class Asked:
    path: str
    status: int | None  # None: whatever is no server error


def paths(plan: Plan) -> tuple[Asked, ...]:
    """What is asked: the smoke list, then the configured paths. GET only.

    Where nobody named any, the front page too: a health page may answer while all that users want fails.
    """
    spec, more = plan.new.spec, plan.settings.judge.synthetic_paths
    named = [Asked(one.path, one.status) for one in spec.smoke_list] + [Asked(path, 200) for path in more]
    if not spec.smoke and not more and all(one.path != FRONT for one in named):
        named.append(Asked(FRONT, None))
    return tuple(named)


def bad(probe: Probe, wanted: Asked) -> bool:
    """No answer, a server error, or not what the smoke list wants."""
    if probe.status is None or probe.status >= 500:
        return True
    return wanted.status is not None and probe.status != wanted.status


class Probing:
    """`start` sends in the background until `stop`; `taken` gives and forgets what was answered since the last call."""

    def __init__(
        self, platform: PlatformReader, target: Target, wanted: Sequence[Asked], rate: float, clock: Clock
    ) -> None:
        self._platform, self._target, self._clock, self.rate = platform, target, clock, rate
        self._paths = cycle(wanted)
        self._dice = random.Random()
        self._task: asyncio.Task[None] | None = None
        self._open: set[asyncio.Task[None]] = set()
        self._new: list[Sent] = []
        self._usual: dict[Slug, float] = {}
        self.kept: deque[Sent] = deque()

    def start(self, releases: Sequence[Slug]) -> None:
        if self._task is None:
            self._task = asyncio.create_task(self._sending(tuple(releases)), name="synthetic probes")

    async def stop(self) -> None:
        tasks = [*([self._task] if self._task else []), *self._open]
        self._task = None
        for task in tasks:
            task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.gather(*tasks, return_exceptions=True)

    def taken(self, release: Slug, bound_ms: float | None) -> dict[str, Count]:
        """Answers of one release since the last call, by metric."""
        mine = [s for s in self._new if s.release == release]
        self._new = [s for s in self._new if s.release != release]
        counts = {ERRORS: Count(len(mine), sum(s.bad for s in mine))}
        if bound_ms is not None:
            counts[LATENCY] = Count(len(mine), sum(s.ms > bound_ms for s in mine))
        return counts

    def recent(self, release: Slug, seconds: float) -> list[Sent]:
        since = self._clock.monotonic() - seconds
        return [s for s in self.kept if s.release == release and s.at >= since]

    async def _sending(self, releases: tuple[Slug, ...]) -> None:
        number = 0
        while True:
            if len(self._open) < IN_FLIGHT:
                number += 1
                self._send_pair(releases, next(self._paths), fresh=number % 2 == 0)
            if number % max(1, round(self.rate * LOOK_BACK_S)) == 0:
                self._spare(releases)
            await asyncio.sleep(1 / self.rate)

    def _send_pair(self, releases: tuple[Slug, ...], wanted: Asked, *, fresh: bool) -> None:
        for release in self._dice.sample(releases, len(releases)):
            task = asyncio.create_task(self._send(release, wanted, fresh))
            self._open.add(task)
            task.add_done_callback(self._open.discard)

    async def _send(self, release: Slug, wanted: Asked, fresh: bool) -> None:
        probe = await self._platform.probe(self._target, release, wanted.path, fresh=fresh)
        sent = Sent(self._clock.monotonic(), release, probe.ms, bad(probe, wanted))
        self._new.append(sent)
        self.kept.append(sent)
        while self.kept and self.kept[0].at < sent.at - KEPT_S:
            self.kept.popleft()

    def _spare(self, releases: tuple[Slug, ...]) -> None:
        """Our probes must not be what makes a service slow. The rate is never raised again."""
        now = {r: median(s.ms for s in found) for r in releases if (found := self.recent(r, LOOK_BACK_S))}
        if not self._usual:
            self._usual = now
            return
        slower = [now[r] > max(SLOW_FROM_MS, SLOWER * usual) for r, usual in self._usual.items() if r in now]
        if slower and all(slower):
            self.rate, self._usual = self.rate / 2, now
