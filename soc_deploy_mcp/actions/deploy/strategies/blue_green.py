"""Blue-green: a second, complete set of instances, tested at weight 0, then one router write."""

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
from soc_deploy_mcp.core.plan import Confirm, Shift, Step


def steps(ctx: PlanContext) -> tuple[Step, ...]:
    hot = ctx.deploy.rollback_window
    return (
        *expand(ctx, "before_start"),
        start(ctx, "green/provision", "Provision green environment", 0),
        start(ctx, "green/deploy", f"Deploy {ctx.new.version} to green", ctx.full),
        smoke(ctx),
        *expand(ctx, "before_switch"),
        # Before the switch: afterwards blue answers nobody, and a slower release looks fine.
        measure(ctx),
        Step(
            key=StepKey("switch"),
            row="Switch traffic (blue→green)",
            ops=(Shift(new=100, dead_man=True), Confirm(new=100)),
            phase="PROMOTING",
            deadline_s=2 * ROUTER_S,
            verification="the router reports the new weights and probes through the entry are answered by green",
            undo="one router write back to blue",
        ),
        verify(ctx, undo="one router write back to blue"),
        *data(ctx),
        retire(ctx, "blue/decommission", "Decommission blue", hot),
    )
