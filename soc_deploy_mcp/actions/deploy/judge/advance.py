"""One metric, one tick: which of its tests learn something from the counts."""

from collections.abc import Callable
from dataclasses import replace
from math import inf

from soc_deploy_mcp.actions.deploy.judge import eprocess as e
from soc_deploy_mcp.actions.deploy.judge.state import NO_ARMS, Arms, MetricState
from soc_deploy_mcp.actions.deploy.judge.ticks import ArmTick, Count, Tick, problem
from soc_deploy_mcp.actions.deploy.judge.types import MetricSpec, Specs

# Given that a tick holds one request of the new release, its share of that tick is no longer the weight: compared
# tick by tick, sparse requests would lose most of what the old release's other ticks say.
POOLED = 3  # requests of each release that are enough to compare
POOL_S = 10.0  # or so much time: an outage that comes later must not be compared with what was before
BASELINE_MIN = 20  # requests of the old release in 60 s, below which it cannot vouch for the environment

_NOTHING = Count(0, 0)
_Rates = Callable[[float], tuple[tuple[float, float], ...]]


def untouched(spec: MetricSpec) -> MetricState:
    """Before the first tick. A test that the metric does not have gets no alternatives."""
    compares = spec.relative_weight > 0
    return MetricState(
        relative=e.fresh(len(e.worse_ratios(spec.r0)) if compares else 0),
        floor=e.fresh(len(e.rates_above(spec.floor)) if compares and spec.floor > 0 else 0),
        guard=e.fresh(len(e.rates_above(spec.abort_above)) if spec.guard_weight > 0 else 0),
        not_worse=_undecided(spec),
    )


def in_new_step(m: MetricState, spec: MetricSpec) -> MetricState:
    """What ACCEPT needs begins anew."""
    return replace(
        m, not_worse=_undecided(spec), pool=NO_ARMS, pool_since=None, step=NO_ARMS, counted=False, ln_safe=-inf
    )


def counts(arm: ArmTick | None, name: str, specs: Specs) -> tuple[Count | None, str]:
    """An arm's count of a metric, or why there is none."""
    if arm is None:
        return None, "missing"
    why = problem(arm, name, specs.max_age_s)
    return (None, why) if why else (arm.counts[name], "")


def advance(m: MetricState, spec: MetricSpec, tick: Tick, specs: Specs, planned: int) -> MetricState:
    if spec.kind == "latency" and tick.warming:
        return replace(m, counted=False, gap="", gap_since=None)
    c, why_c = counts(tick.canary, spec.name, specs)
    b, why_b = counts(tick.baseline, spec.name, specs) if specs.concurrent else (None, "")
    gap = f"new_release_{why_c}" if why_c else f"old_release_{why_b}" if why_b else ""
    both = c is not None and b is not None and c.n > 0 and b.n > 0
    relative, not_worse, pool, pool_since = m.relative, m.not_worse, m.pool, m.pool_since
    if relative.mass and c is not None and b is not None:
        pool, pool_since = _added(pool, c, b), tick.at if pool_since is None else pool_since
        if min(pool.n_c, pool.n_b) >= POOLED or tick.at - pool_since >= POOL_S:
            if pool.n_c > 0 and pool.n_b > 0:
                relative, not_worse = _compared(m, spec, pool, planned)
            pool, pool_since = NO_ARMS, None
    recent = m.recent.seen(tick.at, b.n, b.x) if b is not None and m.guard.mass else m.recent
    vouches = specs.concurrent and recent.requests() >= BASELINE_MIN
    sick = vouches and recent.sick(_sick_line(spec))
    # Evidence of an outage that both shared must not be held against the new release.
    floor, guard = m.floor, e.dropped(m.guard) if m.sick and not sick else m.guard
    if c is not None and c.n > 0:
        floor = _alone(floor, e.rates_above, spec.floor, c, spec.k_reject, planned)
        guard = _alone(guard, e.rates_above, spec.abort_above, c, spec.k_reject, planned)
    step = _added(m.step, c, b)
    return MetricState(
        relative=relative,
        floor=floor,
        guard=guard,
        not_worse=not_worse,
        pool=pool,
        pool_since=pool_since,
        step=step,
        run=_added(m.run, c, b),
        recent=recent,
        vouches=vouches,
        sick=sick,
        counted=both if specs.concurrent else c is not None and c.n > 0,
        gap=gap,
        gap_since=(m.gap_since if m.gap else tick.at) if gap else None,
        asked_c=_last_asked(m.asked_c, c, tick.at),
        asked_b=_last_asked(m.asked_b, b, tick.at),
        ln_relative=m.ln_relative if relative is m.relative else e.ln_e(relative, planned),
        ln_floor=m.ln_floor if floor is m.floor else e.ln_e(floor, planned),
        ln_guard=m.ln_guard if guard is m.guard else e.ln_e(guard, planned),
        ln_safe=_ln_safe(spec, not_worse, step, specs.concurrent),
    )


def _compared(m: MetricState, spec: MetricSpec, arms: Arms, planned: int) -> tuple[e.Mixture, tuple[float, ...]]:
    if arms.x_c + arms.x_b == 0:
        return e.rest(m.relative, planned), m.not_worse
    n_c, x_c, n_b, x_b = arms
    worse = e.compare(e.worse_ratios(spec.r0), spec.r0, n_c, x_c, n_b, x_b, spec.k_reject)
    better = e.compare(e.better_ratios(spec.r_bad), spec.r_bad, n_c, x_c, n_b, x_b, spec.k_accept)
    not_worse = tuple([old + new for old, new in zip(m.not_worse, better, strict=True)])
    return e.grow(m.relative, worse, planned), not_worse


def _alone(mixture: e.Mixture, rates: _Rates, theta: float, c: Count, k: float, planned: int) -> e.Mixture:
    return e.grow(mixture, e.alone(rates(theta), c.n, c.x, k), planned) if mixture.mass else mixture


def _ln_safe(spec: MetricSpec, not_worse: tuple[float, ...], step: Arms, concurrent: bool) -> float:
    """ln of ACCEPT's e-value: the mean of "not worse" and "low enough"; only the second without an old release."""
    comparable = concurrent and bool(not_worse)
    if spec.theta_ok is None:
        return e.ln_not_worse(not_worse) if comparable else -inf
    low = e.ln_low_enough(spec.theta_ok, spec.base_rate, step.n_c, step.x_c, spec.k_accept)
    return e.ln_mean((e.ln_not_worse(not_worse), low), (0.5, 0.5)) if comparable else low


def _sick_line(spec: MetricSpec) -> float:
    """Half way from the old release's usual rate to what stops a rollout."""
    return ((spec.base_rate or 0.0) + spec.abort_above) / 2


def _undecided(spec: MetricSpec) -> tuple[float, ...]:
    return (0.0,) * len(e.better_ratios(spec.r_bad)) if spec.relative_weight > 0 else ()


def _added(arms: Arms, c: Count | None, b: Count | None) -> Arms:
    c, b = c or _NOTHING, b or _NOTHING
    return Arms(arms.n_c + c.n, arms.x_c + c.x, arms.n_b + b.n, arms.x_b + b.x)


def _last_asked(asked: float | None, count: Count | None, at: float) -> float:
    return at if asked is None or count is None or count.n > 0 else asked  # what was not seen is not known to be silent
