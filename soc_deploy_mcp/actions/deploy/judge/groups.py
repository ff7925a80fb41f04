"""Several tests, one alpha: the tests of a group bet together, each with its share.

The shares of all groups add up to 1, so the chance that any group ever fires on a good release is at most alpha,
whatever the tests have to do with each other.
"""

from collections.abc import Iterable, Mapping
from math import exp, log
from typing import NamedTuple

from soc_deploy_mcp.actions.deploy.judge.eprocess import ln_signs
from soc_deploy_mcp.actions.deploy.judge.state import GaugeState, MetricState
from soc_deploy_mcp.actions.deploy.judge.types import Specs


class Fired(NamedTuple):
    """Per group the metric that contributes most; empty: the group does not fire."""

    relative: str
    guard: str  # metrics on which the old release is well, or not there
    suffering: str  # the guard fires only because of metrics on which the old release fails too
    gauge: str


def fired(metrics: Mapping[str, MetricState], gauges: Mapping[str, GaugeState], specs: Specs) -> Fired:
    worse, bad_alone, bad_together, levels = [], [], [], []
    for spec in specs.metrics:
        if spec.relative_weight > 0:
            worse.append((spec.name, spec.relative_weight, metrics[spec.name].ln_worse))
        if spec.guard_weight > 0:
            m = metrics[spec.name]
            bet = (spec.name, spec.guard_weight, m.ln_guard)
            bad_together.append(bet)
            if not m.sick:
                bad_alone.append(bet)
        if spec.gauge_weight > 0:
            g = gauges[spec.name]
            levels.append((spec.name, spec.gauge_weight, ln_signs(g.above, g.below)))
    guard = leader(bad_alone, specs.alpha)
    suffering = "" if guard else leader(bad_together, specs.alpha)
    return Fired(leader(worse, specs.alpha), guard, suffering, leader(levels, specs.alpha))


def leader(bets: Iterable[tuple[str, float, float]], alpha: float) -> str:
    """The metric that contributes most when sum(weight * e**ln_e) >= 1/alpha; empty when it is less."""
    placed = [(ln_e + log(weight), metric) for metric, weight, ln_e in bets]
    if not placed:
        return ""
    top, metric = max(placed)
    needed = -log(alpha)
    if top < needed - log(len(placed)):
        return ""
    return metric if top + log(sum([exp(value - top) for value, _ in placed])) >= needed else ""
