"""The four strategies as data: each file turns a PlanContext into steps; the loop that walks them is one."""

from soc_deploy_mcp.actions.deploy.strategies import blue_green, canary, first, recreate, rolling
from soc_deploy_mcp.actions.deploy.strategies.context import PlanContext
from soc_deploy_mcp.core.config import Strategy
from soc_deploy_mcp.core.plan import Step

__all__ = ["PlanContext", "steps"]

_STRATEGIES = {
    "blue-green": blue_green.steps,
    "canary": canary.steps,
    "rolling": rolling.steps,
    "recreate": recreate.steps,
}


def steps(strategy: Strategy, ctx: PlanContext) -> tuple[Step, ...]:
    """The rows of a rollout, in order. Without an old release there is only one way to come."""
    return first.steps(ctx) if ctx.old is None else _STRATEGIES[strategy](ctx)
