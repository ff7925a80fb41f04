"""What an arm did before: exact counts over a stretch of time, from the raw counters at its two ends.

For people, and for what is frozen before a rollout. Not `rate()`: it loses a series' first event, so that the first
twelve failures of a release would be shown as none.
"""

import asyncio
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from soc_deploy_mcp.core.metrics import ArmLabels, MetricsSource, SourceDown
from soc_deploy_mcp.tools.metrics.counts import NoCount, Unknown, key_of, whole
from soc_deploy_mcp.tools.metrics.exposition import Key
from soc_deploy_mcp.tools.metrics.probes import NOTHING, Carried, Counts, users_of
from soc_deploy_mcp.tools.metrics.router_counts import by_name, selectors
from soc_deploy_mcp.tools.metrics.routers import PROBES, RouterQueries
from soc_deploy_mcp.tools.metrics.store import INSTANCE
from soc_deploy_mcp.tools.metrics.vector_math import bucket_quantile

_SHORTEST_S = 1.0
_ENOUGH = 0.95  # of the wanted history


@dataclass(frozen=True, slots=True)
class Measured:
    """What was counted for one arm. Our own probes are taken out of the requests; of a name that users and probes
    share, the times are of both."""

    requests: Counts  # all answers, and 5xx among them
    buckets: tuple[tuple[float, int], ...]  # (bound in ms, timed requests at or under it), rising, the last is inf
    seconds: float | None  # None: since the router's start, however long ago

    @property
    def rps(self) -> float | None:
        return self.requests.n / self.seconds if self.seconds else None

    @property
    def error_ratio(self) -> float | None:
        return self.requests.x / self.requests.n if self.requests.n else None

    def slower(self, bound_ms: float) -> Counts | Unknown:
        """Timed requests, and those above a bound of the histogram."""
        buckets = dict(self.buckets)
        timed = buckets.get(math.inf, 0)
        if timed and bound_ms not in buckets:
            return Unknown(f"the router has no bucket that ends at {bound_ms:g} ms")
        return Counts(timed, timed - buckets.get(bound_ms, 0))

    def quantile_ms(self, q: float) -> float | None:
        """Interpolated inside a bucket, for people; None without a timed request."""
        value = bucket_quantile(q, dict(self.buckets)) if self.buckets else math.nan
        return value if math.isfinite(value) else None


@dataclass(frozen=True, slots=True)
class _Page:
    """One scraped thing's raw counters at a moment."""

    at: float
    values: Mapping[Key, int]


_Pages = Mapping[str, _Page]


async def recent(
    source: MetricsSource, queries: RouterQueries, arm: ArmLabels, at: float, window_s: float
) -> Measured | Unknown:
    """Counts of the last `window_s` seconds, or of as much of them as is remembered (`seconds` says how much)."""
    now = await _pages(source, queries, arm, at)
    if isinstance(now, Unknown):
        return now
    back = window_s
    while back >= _SHORTEST_S:
        then = await _pages(source, queries, arm, at - back)
        if not isinstance(then, Unknown) and (between := _between(queries, arm, then, now)) is not None:
            return between
        back /= 2
    return Unknown("the router was read only just now")


async def ever(source: MetricsSource, queries: RouterQueries, arm: ArmLabels, at: float) -> Measured | Unknown:
    """Counts since the router's start."""
    now = await _pages(source, queries, arm, at)
    if isinstance(now, Unknown):
        return now
    return _measured(queries, arm, [page.values for page in now.values()], None)


async def latency_history(
    source: MetricsSource, queries: RouterQueries, arm: ArmLabels, at: float, window_s: float = 600.0
) -> Measured | Unknown:
    """What the latency bound is chosen from: the last ten minutes, or everything where less is remembered."""
    last = await recent(source, queries, arm, at, window_s)
    if not isinstance(last, Unknown) and (last.seconds or 0.0) >= _ENOUGH * window_s:
        return last
    return await ever(source, queries, arm, at)


async def slow_pairs(
    source: MetricsSource,
    queries: RouterQueries,
    arm: ArmLabels,
    at: float,
    *,
    bound_ms: float,
    step_s: float,
    window_s: float = 3600.0,
) -> tuple[tuple[Counts, Counts], ...]:
    """Neighbouring stretches of `step_s` seconds: timed requests and slow ones of each, oldest first.

    For the dispersion of slow requests. The router counts no single instance, so two halves in time stand for two
    halves of the release: what hits one stretch only is counted as a burst, which errs towards caution.
    """
    stretches: list[Counts] = []
    before: _Pages | Unknown = Unknown("nothing yet")
    for i in range(int(window_s // step_s), -1, -1):
        here = await _pages(source, queries, arm, at - i * step_s)
        if not isinstance(before, Unknown) and not isinstance(here, Unknown):
            between = _between(queries, arm, before, here)
            slow = between.slower(bound_ms) if between else None
            if isinstance(slow, Counts) and slow.n:
                stretches.append(slow)
        before = here
        await asyncio.sleep(0)  # an hour is a quarter of a second of work: let others in
    return tuple(zip(stretches[::2], stretches[1::2], strict=False))


async def _pages(source: MetricsSource, queries: RouterQueries, arm: ArmLabels, at: float) -> _Pages | Unknown:
    """By scraped thing that was up at the moment; Unknown when none was, or a value is no count."""
    try:
        up = await source.raw("up", at)
        samples = [sample for selector in selectors(queries, (arm,)) for sample in await source.raw(selector, at)]
        read = {s.labels[INSTANCE]: s.at for s in up if s.value == 1}
        values: dict[str, dict[Key, int]] = {name: {} for name in read}
        for sample in samples:
            if (name := sample.labels.get(INSTANCE, "")) in values:
                values[name][key_of(sample)] = whole(sample)
    except (SourceDown, NoCount) as error:
        return Unknown(str(error))
    if not read:
        return Unknown("nothing was read")
    if len(read) < len(up) and all(sample.labels["__name__"] == PROBES for sample in samples):
        return Unknown("a part of what is scraped is down, and it may be the router")
    return {name: _Page(read[name], values[name]) for name in read}


def _between(queries: RouterQueries, arm: ArmLabels, then: _Pages, now: _Pages) -> Measured | None:
    """What the routers added. None unless all of them were read at both ends: a part would look like little traffic.

    A counter that is smaller than before began anew.
    """
    counting = {name for pages in (then, now) for name, page in pages.items() if page.values}
    both = [name for name in now if name in counting or not counting]
    if counting - now.keys() or not all(name in then and now[name].at > then[name].at for name in both):
        return None
    added = [
        {
            key: value - before if value >= (before := then[name].values.get(key, 0)) else value
            for key, value in now[name].values.items()
        }
        for name in both
    ]
    return _measured(queries, arm, added, max(now[name].at - then[name].at for name in both))


def _measured(
    queries: RouterQueries, arm: ArmLabels, pages: Sequence[Mapping[Key, int]], seconds: float | None
) -> Measured:
    names = by_name({key: added for page in pages for key, added in page.items()}, queries, (arm.label,))
    n = x = 0
    buckets: dict[float, int] = {}
    for added in (names[value] for value in arm.values if value in names):
        users, _ = users_of(added.requests, added.probes or NOTHING, Carried())
        n, x = n + users.n, x + users.x
        for bound, count in added.buckets.items() if users.n else ():
            buckets[bound] = buckets.get(bound, 0) + count
    return Measured(Counts(n, x), tuple(sorted(buckets.items())), seconds)
