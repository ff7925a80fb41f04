"""What the judge compares with, measured of the old release: rates, latency bounds, bursts. From counters or probes."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from math import inf

from soc_deploy_mcp.actions.deploy import probes
from soc_deploy_mcp.actions.deploy.judge import Count, Measured, k_hat, latency_bound
from soc_deploy_mcp.actions.deploy.probes import Sent
from soc_deploy_mcp.core.metrics import ArmLabels, MetricsSource
from soc_deploy_mcp.core.plan import Plan
from soc_deploy_mcp.tools.metrics.counts import Unknown
from soc_deploy_mcp.tools.metrics.history import Measured as Counted
from soc_deploy_mcp.tools.metrics.history import ever, latency_history, recent, slow_pairs
from soc_deploy_mcp.tools.metrics.routers import RouterQueries

HOUR_S = 3600.0
RATE_S, JUST_NOW_S = 30.0, 5.0
ENOUGH = 50  # requests that make the shorter look worth something
PAIR_S = 2.0
PAIRS_BACK_S = 600.0
PROBE_BOUNDS_MS = (25, 50, 75, 100, 150, 200, 250, 300, 400, 500, 750, 1000, 2500, 5000, 10000)


async def measured_by_router(
    source: MetricsSource, queries: RouterQueries, labels: ArmLabels, plan: Plan, at: float
) -> Measured:
    """The last hour's errors, the last ten minutes' latency, the last seconds' rate; nothing that was not counted."""
    rate = await requests_a_second(source, queries, labels, at)
    hour = await recent(source, queries, labels, at, HOUR_S)
    whole = await ever(source, queries, labels, at) if isinstance(hour, Unknown) else hour
    timed = await latency_history(source, queries, labels, at)
    measured = Measured(rps=rate)
    if not isinstance(whole, Unknown) and whole.requests.n:
        measured = replace(measured, before={"errors": Count(*whole.requests)})
    if isinstance(timed, Unknown) or not timed.buckets:
        return measured
    return await _with_latency(measured, timed, source, queries, labels, plan, at)


async def requests_a_second(
    source: MetricsSource, queries: RouterQueries, labels: ArmLabels, at: float
) -> float | None:
    """Users' requests a second over the last half minute, or over its last seconds where a release that took over only
    now would look like one that nobody visits. None: nothing was counted."""
    long, short = [await recent(source, queries, labels, at, seconds) for seconds in (RATE_S, JUST_NOW_S)]
    if isinstance(long, Unknown) or long.rps is None or long.seconds is None:
        return None
    if long.requests.n < ENOUGH:  # one visitor in the only three seconds that are remembered is no traffic
        return long.requests.n / max(long.seconds, RATE_S)
    if isinstance(short, Unknown) or short.rps is None or short.requests.n < ENOUGH:
        return long.rps
    return short.rps if short.rps > 2 * long.rps else long.rps


async def _with_latency(
    measured: Measured,
    timed: Counted,
    source: MetricsSource,
    queries: RouterQueries,
    labels: ArmLabels,
    plan: Plan,
    at: float,
) -> Measured:
    response = plan.settings.health_checks.response_time
    bounds = {}
    usual = latency_bound(timed.buckets, response.percentile)
    if usual is not None:
        bounds["latency"] = usual
    if (slo := next((b for b, _ in timed.buckets if response.bound_s * 1000 <= b < inf), None)) is not None:
        bounds["latency_slo"] = slo
    before = dict(measured.before)
    k = dict(measured.k)
    for metric, bound in bounds.items():
        slow = timed.slower(bound)
        if isinstance(slow, Unknown):
            continue
        before[metric] = Count(*slow)
        pairs = await slow_pairs(source, queries, labels, at, bound_ms=bound, step_s=PAIR_S, window_s=PAIRS_BACK_S)
        if found := k_hat((Count(*one), Count(*two)) for one, two in pairs):
            k[metric] = found.upper
    return replace(measured, before=before, bounds_ms=bounds, k=k)


def measured_by_probes(measured: Measured, sent: Sequence[Sent], percentile: int) -> Measured:
    """The old release as our own probes saw it."""
    if not sent:
        return measured
    before = {**measured.before, probes.ERRORS: Count(len(sent), sum(s.bad for s in sent))}
    under = [(float(bound), sum(s.ms <= bound for s in sent)) for bound in PROBE_BOUNDS_MS]
    bound = latency_bound([*under, (inf, len(sent))], percentile)
    if bound is None:
        return replace(measured, before=before)
    before[probes.LATENCY] = Count(len(sent), sum(s.ms > bound for s in sent))
    k = dict(measured.k)
    if found := k_hat(_neighbours(sent, bound)):
        k[probes.LATENCY] = found.upper
    return replace(measured, before=before, bounds_ms={**measured.bounds_ms, probes.LATENCY: bound}, k=k)


def _neighbours(sent: Sequence[Sent], bound_ms: float) -> list[tuple[Count, Count]]:
    """Slow answers of neighbouring half seconds."""
    slots: dict[int, list[Sent]] = defaultdict(list)
    for one in sent:
        slots[int(one.at * 2)].append(one)
    counts = [Count(len(each), sum(s.ms > bound_ms for s in each)) for _, each in sorted(slots.items())]
    return list(zip(counts[::2], counts[1::2], strict=False))
