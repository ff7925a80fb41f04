"""The rules of a rollout, from settings and from what was measured before it. Nothing here looks at the new release."""

from collections.abc import Iterable, Sequence
from dataclasses import replace

from soc_deploy_mcp.actions.deploy.judge.dispersion import CAP
from soc_deploy_mcp.actions.deploy.judge.measured import Measured
from soc_deploy_mcp.actions.deploy.judge.power import Power, power
from soc_deploy_mcp.actions.deploy.judge.types import MetricSpec, Specs
from soc_deploy_mcp.actions.deploy.judge.wanted import Settings, Stage, Targets

ENOUGH_CHANCE = 0.8  # a metric that is accepted in time less often than this cannot be waited for
COST_EVENTS = 5.0  # failed requests that any rollout may cost
_SHARES = {"relative": 0.6, "guard": 0.3, "gauge": 0.1}  # of alpha
_K_ERRORS = (2.0, 2.0)  # for REJECT, for ACCEPT, where k could not be measured: errors in pairs are common
_K_LATENCY = (5.0, 5.0)  # slow answers come in bursts by nature: a slow dependency, a pause
_K_BURSTY = 5.0
_TELLING = 3.0  # bad requests expected at the rate that is good enough: none is seen by chance in one of twenty
_K_PROBES = (1.0, 1.0)


def specs(
    settings: Settings,
    targets: Targets,
    measured: Measured,
    stages: Sequence[Stage],
    stage: Stage,
    *,
    synthetic: bool = False,
) -> Specs:
    """The rules of one stage of a rollout.

    With `synthetic`, metrics that are counted at probes on both arms are added. They are required as soon as a
    required metric of users' requests is not likely to be accepted in time; that one then only counts against the
    release.
    """
    metrics = _users(settings, targets, measured, stage)
    if synthetic:
        metrics += _probes(settings, targets, measured, stage)
    shared = _with_shares(metrics, compared=any(s.concurrent for s in stages))
    return Specs(
        metrics=_standing_in(shared, settings, measured, stage) if synthetic else shared,
        weight=stage.weight / 100,
        concurrent=stage.concurrent,
        alpha=settings.alpha,
        beta=settings.beta,
        tick_s=settings.tick,
        rps=measured.rps,
        cost_cap=_cost_cap(settings, targets, measured, stages),
        budget=_budget(targets, measured),
    )


def planned_ticks(settings: Settings, stages: Iterable[Stage], *, extended: bool = False) -> int:
    """Ticks of the longest rollout; `extended`: each step may be prolonged once by its own length."""
    return max(1, int(sum(s.max_s for s in stages) * (2 if extended else 1) / settings.tick))


def probes_wanted(settings: Settings, targets: Targets, measured: Measured, stages: Sequence[Stage]) -> bool:
    """Whether users' requests alone cannot decide: a required metric is not likely to be accepted in some stage."""
    if settings.synthetic != "auto":
        return settings.synthetic == "on"
    return any(
        m.required and not _has_power(m, settings, measured, stage)
        for stage in stages
        for m in specs(settings, targets, measured, stages, stage).metrics
    )


def stage_power(rules: Specs, settings: Settings, measured: Measured, stage: Stage) -> dict[str, Power]:
    """What each counted metric can show in a stage, by name."""
    return {m.name: _power(m, settings, measured, stage) for m in rules.metrics if m.kind != "gauge"}


# --- the metrics


def _users(settings: Settings, targets: Targets, measured: Measured, stage: Stage) -> list[MetricSpec]:
    base = MetricSpec(name="", r0=settings.r0, r_bad=settings.r_bad)
    found = [_errors(replace(base, name="errors", required=True), targets, measured, stage)]
    if "latency" in measured.bounds_ms:
        found.append(_latency(replace(base, name="latency", required=True), targets, measured))
    if "latency_slo" in measured.bounds_ms:
        found.append(_latency_slo(replace(base, name="latency_slo"), targets, measured))
    for check in settings.checks:
        custom = replace(base, name=check.name, required=check.required, critical=check.critical)
        if check.gauge is None:
            found.append(_errors(custom, targets, measured, stage))
        else:  # a level is compared, never accepted: it may stop a rollout, it cannot speak for it
            found.append(replace(custom, kind="gauge", required=False, tolerance=check.tolerance))
    return found


def _probes(settings: Settings, targets: Targets, measured: Measured, stage: Stage) -> list[MetricSpec]:
    base = MetricSpec(name="", r0=settings.r0, r_bad=settings.r_bad, synthetic=True)
    found = [_errors(replace(base, name="synthetic_errors"), targets, measured, stage)]
    if "synthetic_latency" in measured.bounds_ms:
        found.append(_latency(replace(base, name="synthetic_latency"), targets, measured))
    return found


def _errors(spec: MetricSpec, targets: Targets, measured: Measured, stage: Stage) -> MetricSpec:
    target = targets.error_rate.bound
    abort_above = max(10 * target, 1.5 * (measured.upper(spec.name) or 0.0))
    # What the step may cost all users, not the new release's share of them alone.
    affordable = min(abort_above, 2 * target / (stage.weight / 100))
    ruled = replace(
        spec,
        target=target,
        floor=target,
        abort_above=abort_above,
        theta_ok=_at_least_bad(affordable, spec, measured),
    )
    return _measured_into(ruled, measured, _K_PROBES if spec.synthetic else _K_ERRORS)


def _latency(spec: MetricSpec, targets: Targets, measured: Measured) -> MetricSpec:
    slow = 1 - targets.response_time.percentile / 100
    ruled = replace(
        spec,
        kind="latency",
        floor=slow / 5,
        abort_above=max(2 * slow, 1.5 * (measured.upper(spec.name) or 0.0)),
        theta_ok=_at_least_bad(slow, spec, measured),
    )
    return _measured_into(ruled, measured, _K_LATENCY)


def _latency_slo(spec: MetricSpec, targets: Targets, measured: Measured) -> MetricSpec:
    slow = 1 - targets.response_time.percentile / 100
    abort_above = max(2 * slow, 1.5 * (measured.upper(spec.name) or 0.0))
    return _measured_into(replace(spec, kind="latency", target=slow, abort_above=abort_above), measured, _K_LATENCY)


def _at_least_bad(rate: float, spec: MetricSpec, measured: Measured) -> float:
    """A release is not held back for what the old one does too."""
    return min(0.98, max(rate, spec.r_bad * (measured.rate(spec.name) or 0.0)))


def _measured_into(spec: MetricSpec, measured: Measured, unknown: tuple[float, float]) -> MetricSpec:
    k_reject, k_accept = (k, k) if (k := measured.k.get(spec.name)) is not None else unknown
    if measured.bursty and not spec.synthetic and spec.name not in measured.k:
        k_reject, k_accept = max(k_reject, _K_BURSTY), max(k_accept, _K_BURSTY)
    # Without bad requests in so few, the old release's rate is not known to be far below what is good enough.
    seen = measured.before.get(spec.name)
    telling = seen is not None and (seen.x > 0 or seen.n * (spec.theta_ok or 1.0) >= _TELLING)
    return replace(
        spec,
        base_rate=measured.rate(spec.name) if telling else None,
        base_upper=measured.upper(spec.name),
        bound_ms=measured.bounds_ms.get(spec.name),
        k_reject=min(CAP, max(1.0, k_reject)),
        k_accept=min(CAP, max(1.0, k_accept)),
    )


# --- who bets how much, who is waited for


def _with_shares(metrics: Sequence[MetricSpec], *, compared: bool) -> tuple[MetricSpec, ...]:
    """Shares of alpha: equal within a group; a group without members leaves its share to the comparison."""
    groups = {
        "relative": [m.name for m in metrics if compared and m.kind != "gauge" and m.name != "latency_slo"],
        "guard": [m.name for m in metrics if _guarded(m)],
        "gauge": [m.name for m in metrics if m.kind == "gauge" and m.critical],
    }
    shares = {group: _SHARES[group] if names else 0.0 for group, names in groups.items()}
    shares["relative" if compared else "guard"] += 1 - sum(shares.values())

    def share(group: str, name: str) -> float:
        return shares[group] / len(groups[group]) if name in groups[group] else 0.0

    return tuple(
        replace(
            m,
            relative_weight=share("relative", m.name),
            guard_weight=share("guard", m.name),
            gauge_weight=share("gauge", m.name),
        )
        for m in metrics
    )


def _guarded(m: MetricSpec) -> bool:
    """Users' errors, slow answers against the target, probes, and the user's own counts that are critical."""
    return m.kind != "gauge" and (m.name in ("errors", "latency_slo") or m.synthetic or m.critical)


def _standing_in(
    metrics: Sequence[MetricSpec], settings: Settings, measured: Measured, stage: Stage
) -> tuple[MetricSpec, ...]:
    # The router times probes and users alike: while we probe, how long users waited cannot be told apart.
    weak = {
        m.name
        for m in metrics
        if m.required and not m.synthetic and (m.kind == "latency" or not _has_power(m, settings, measured, stage))
    }
    return tuple(replace(m, required=bool(weak) if m.synthetic else m.required and m.name not in weak) for m in metrics)


def _has_power(m: MetricSpec, settings: Settings, measured: Measured, stage: Stage) -> bool:
    return _power(m, settings, measured, stage).accept_chance >= ENOUGH_CHANCE


def _power(m: MetricSpec, settings: Settings, measured: Measured, stage: Stage) -> Power:
    share = stage.weight / 100
    rps = measured.rps or 0.0
    new, old = (settings.synthetic_rate,) * 2 if m.synthetic else (rps * share, rps * (1 - share))
    return power(m, new, old if stage.concurrent else 0.0, stage.max_s, settings.alpha, settings.beta)


# --- what it may cost


def _budget(targets: Targets, measured: Measured) -> float | None:
    return None if measured.requests_30d is None else targets.error_rate.bound * measured.requests_30d


def _cost_cap(settings: Settings, targets: Targets, measured: Measured, stages: Sequence[Stage]) -> float:
    """Failed requests above the old release's. Without history: five, and one in a thousand of those to come."""
    budget = _budget(targets, measured)
    if budget is not None:
        return max(settings.budget_share * budget, COST_EVENTS)
    return COST_EVENTS + 0.001 * (measured.rps or 0.0) * sum(s.weight / 100 * s.min_s for s in stages)
