"""One tick into the state. A function of ticks alone: whoever replays the tick file gets the same state."""

from collections.abc import Mapping
from dataclasses import replace
from math import isfinite, log, log1p
from typing import Any

from soc_deploy_mcp.actions.deploy.judge.advance import advance, counts, in_new_step, untouched
from soc_deploy_mcp.actions.deploy.judge.gauges import block, grown, leaking
from soc_deploy_mcp.actions.deploy.judge.groups import Fired, fired
from soc_deploy_mcp.actions.deploy.judge.readings import readings
from soc_deploy_mcp.actions.deploy.judge.state import GaugeState, JudgeState, Latch, MetricState, Toll
from soc_deploy_mcp.actions.deploy.judge.ticks import Tick
from soc_deploy_mcp.actions.deploy.judge.types import Reading, Specs, Word

MEMORY_FULL = 0.95  # of an instance's limit
SUSPECT_S = 60.0  # so long the old release may show that it suffers too
_LIKELY_WORSE = log(20)  # or until it is this much better


def new_state(specs: Specs, planned_ticks: int) -> JudgeState:
    """Before the first tick. `planned_ticks`: usable ticks of the longest rollout, all steps and an extension."""
    if planned_ticks < 1:
        raise ValueError("planned_ticks must be at least 1")
    return JudgeState(
        planned=planned_ticks,
        rules=_rules(specs),
        metrics={m.name: untouched(m) for m in specs.metrics if m.kind != "gauge"},
        gauges={m.name: GaugeState() for m in specs.metrics if m.kind == "gauge"},
    )


def on_new_step(state: JudgeState, specs: Specs) -> JudgeState:
    """The weight has changed: what ACCEPT needs begins anew, what REJECT has gathered stays.

    Raises ValueError when the rules of REJECT are not those the rollout began with: choosing them after the new
    release was seen would void the error bound.
    """
    if _rules(specs) != state.rules:
        raise ValueError("the rules of REJECT must not change during a rollout")
    metrics = {m.name: in_new_step(state.metrics[m.name], m) for m in specs.metrics if m.kind != "gauge"}
    return replace(state, metrics=metrics, unheard=0.0)


def update(state: JudgeState, tick: Tick, specs: Specs) -> tuple[JudgeState, tuple[Reading, ...]]:
    """The state after a tick, and what it shows."""
    state = after(state, tick, specs)
    return state, readings(state, specs)


def after(state: JudgeState, tick: Tick, specs: Specs) -> JudgeState:
    """The state after a tick. One that is not younger than the last one is ignored, and that is remembered."""
    younger = isfinite(tick.at) and (state.at is None or tick.at > state.at)
    return _after(state, tick, specs) if younger else replace(state, repeated=True)


def _after(state: JudgeState, tick: Tick, specs: Specs) -> JudgeState:
    metrics, gauges = dict(state.metrics), dict(state.gauges)
    for spec in specs.metrics:
        if spec.kind == "gauge":
            gauges[spec.name] = block(gauges[spec.name], tick.at, tick.gauges.get(spec.name), spec.tolerance)
        else:
            metrics[spec.name] = advance(metrics[spec.name], spec, tick, specs, state.planned)
    found = fired(metrics, gauges, specs)
    since = (tick.at if state.suspect_since is None else state.suspect_since) if found.guard else None
    proven = _without_suspicion(found, metrics, since, tick.at)
    memory = grown(state.memory, tick, specs.leak_window_s)
    leak = leaking(memory, tick, specs.leak_window_s)
    return JudgeState(
        planned=state.planned,
        rules=state.rules,
        metrics=metrics,
        gauges=gauges,
        at=tick.at,
        memory=memory,
        crashes=state.crashes + (tick.crashes or 0),
        blind_since=_blind_since(state, tick),
        unheard=_unheard(state, tick, specs),
        toll=_toll(state, tick, specs),
        latch=_latched(state.latch, proven, tick, leak),
        suspect=found.guard,
        suspect_since=since,
        suffering=found.suffering,
    )


def _blind_since(state: JudgeState, tick: Tick) -> float | None:
    if tick.crashes is not None:
        return None
    return tick.at if state.blind_since is None else state.blind_since


def _without_suspicion(found: Fired, metrics: Mapping[str, MetricState], since: float | None, at: float) -> Fired:
    """An outage of both releases may hit the new one's requests first: the old one gets time to show it."""
    if since is None or at - since >= SUSPECT_S:
        return found
    m = metrics[found.guard]
    return found._replace(guard="") if m.vouches and m.ln_relative < _LIKELY_WORSE else found


def _latched(before: Latch | None, found: Fired, tick: Tick, leak: bool) -> Latch | None:
    """REJECT stays, and takes the place of ABSOLUTE: it says more."""
    if before is not None and before.word is Word.REJECT:
        return before
    if found.relative:
        return Latch(Word.REJECT, "worse", found.relative, tick.at)
    if before is not None:
        return before
    if found.guard or found.gauge:
        return Latch(Word.ABSOLUTE, "guard" if found.guard else "gauge", found.guard or found.gauge, tick.at)
    if any(seen.share is not None and seen.share >= MEMORY_FULL for seen in tick.memory.values()):
        return Latch(Word.ABSOLUTE, "memory_limit", "memory", tick.at)
    return Latch(Word.ABSOLUTE, "memory_leak", "memory", tick.at) if leak else None


def _unheard(state: JudgeState, tick: Tick, specs: Specs) -> float:
    """-ln P(the new release was asked nothing, by chance, since its last answer)."""
    if not specs.concurrent or specs.users is None or specs.weight >= 1:
        return 0.0
    c, _ = counts(tick.canary, specs.users.name, specs)
    b, _ = counts(tick.baseline, specs.users.name, specs)
    if c is None or b is None:
        return state.unheard
    # Each of the old release's requests would have been the new one's with probability w.
    return 0.0 if c.n else state.unheard - b.n * log1p(-specs.weight)


def _toll(state: JudgeState, tick: Tick, specs: Specs) -> Toll:
    """Excess over the old release in the same tick, so that an outage that both share costs nothing."""
    if (users := specs.users) is None:
        return state.toll
    c, _ = counts(tick.canary, users.name, specs)
    b, _ = counts(tick.baseline, users.name, specs) if specs.concurrent else (None, "")
    if c is None or not c.n:
        return state.toll
    if b is not None and b.n:
        pooled = (c.x + b.x) / (c.n + b.n)
        excess, variance = c.x - c.n * b.x / b.n, c.n * pooled * (1 + c.n / b.n)
    else:
        usual = users.base_upper if users.base_upper is not None else users.target or 0.0
        excess, variance = c.x - c.n * usual, c.n * usual
    return Toll(state.toll.excess + excess, state.toll.variance + variance)


def _rules(specs: Specs) -> tuple[tuple[Any, ...], ...]:
    """What REJECT goes by."""
    shares = ((m.name, m.relative_weight, m.guard_weight, m.gauge_weight) for m in specs.metrics)
    limits = ((m.r0, m.floor, m.abort_above, m.k_reject, m.bound_ms, m.tolerance) for m in specs.metrics)
    return (*shares, *limits, (specs.alpha, specs.tick_s))
