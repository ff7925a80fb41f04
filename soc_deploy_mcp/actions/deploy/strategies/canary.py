"""Canary: a growing share of users' requests. A step lasts as long as its evidence needs, within its limits."""

from soc_deploy_mcp.actions.deploy.strategies.context import (
    ROUTER_S,
    PlanContext,
    data,
    expand,
    measure,
    retire,
    smoke,
    start,
    verify,
)
from soc_deploy_mcp.core.ids import StepKey
from soc_deploy_mcp.core.plan import Confirm, Ensure, Judge, Op, Shift, Step


def steps(ctx: PlanContext) -> tuple[Step, ...]:
    shares = ctx.deploy.canary.steps
    version = ctx.new.version
    old = ctx.old.version if ctx.old else "nothing"
    return (
        *expand(ctx, "before_start"),
        start(ctx, "canary/start", f"Start canary {version}", ctx.required(shares[0])),
        smoke(ctx),
        *expand(ctx, "before_switch"),
        measure(ctx),
        *(_share(ctx, percent) for percent in shares),
        verify(ctx, undo="one router write back to the old release, which is hot"),
        *data(ctx),
        retire(ctx, "old/retire", f"Retire {old}", ctx.deploy.bake),
    )


def _share(ctx: PlanContext, percent: int) -> Step:
    limits = ctx.deploy.canary
    everybody = percent == 100
    # Capacity for the share before the share (R6); the old side keeps its full capacity throughout.
    ops: tuple[Op, ...] = (
        Ensure(side="new", instances=ctx.required(percent)),
        Shift(new=percent, dead_man=True),
        Confirm(new=percent),
    )
    if not everybody:
        ops = (*ops, Judge(new=percent, min_s=limits.min, max_s=limits.max))
    return Step(
        key=StepKey(f"canary/{percent}"),
        row="Shift to 100 %" if everybody else f"Canary {percent} %",
        ops=ops,
        phase="PROMOTING" if everybody else "RUNNING",
        deadline_s=ctx.start_limit_s() + 2 * ROUTER_S + (0 if everybody else limits.max),
        verification="weights as asked and probes agree" if everybody else "the judge accepts every required metric",
        undo="one router write: all requests to the old release",
    )
