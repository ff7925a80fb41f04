"""What the state shows: the figures behind a word, for the live view, the report and the journal."""

from math import log

from soc_deploy_mcp.actions.deploy.judge.state import Arms, JudgeState, MetricState
from soc_deploy_mcp.actions.deploy.judge.ticks import Count
from soc_deploy_mcp.actions.deploy.judge.types import NEVER, Cost, MetricSpec, Reading, Specs


def readings(state: JudgeState, specs: Specs) -> tuple[Reading, ...]:
    """One for each metric that is counted, in the order of the specs. Gauges are levels and have none."""
    return tuple(_reading(spec, state.metrics[spec.name], specs) for spec in specs.metrics if spec.kind != "gauge")


def accepted(m: MetricState, specs: Specs) -> bool:
    return m.ln_safe >= -log(specs.beta)


def cost(state: JudgeState, specs: Specs) -> Cost:
    k = specs.users.k_reject if specs.users else 1.0
    noise = max(state.toll.variance, 0.0) * k
    return Cost(state.toll.excess, noise**0.5, specs.cost_cap, specs.budget)


def _reading(spec: MetricSpec, m: MetricState, specs: Specs) -> Reading:
    needed = _needed(spec.relative_weight, specs.alpha)
    return Reading(
        metric=spec.name,
        kind=spec.kind,
        synthetic=spec.synthetic,
        required=spec.required,
        canary=_new(m.step),
        baseline=_old(m.step) if specs.concurrent else None,
        canary_run=_new(m.run),
        baseline_run=_old(m.run) if m.run.n_b else None,
        ln_worse=m.ln_worse,
        ln_worse_needed=needed,
        ln_guard=m.ln_guard,
        ln_guard_needed=_needed(spec.guard_weight, specs.alpha),
        ln_safe=m.ln_safe,
        ln_safe_needed=-log(specs.beta),
        accepted=accepted(m, specs),
        below_floor=m.ln_relative >= needed > m.ln_floor,
        baseline_sick=m.sick,
        bound_ms=spec.bound_ms,
        target=spec.target,
    )


def _needed(weight: float, alpha: float) -> float:
    return -log(alpha) - log(weight) if weight > 0 else NEVER


def _new(arms: Arms) -> Count:
    return Count(arms.n_c, arms.x_c)


def _old(arms: Arms) -> Count:
    return Count(arms.n_b, arms.x_b)
