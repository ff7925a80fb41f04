"""The first release of a target: nothing serves yet, so every strategy is the same walk, judged on its own."""

from soc_deploy_mcp.actions.deploy.strategies.context import ROUTER_S, PlanContext, data, expand, smoke, start, verify
from soc_deploy_mcp.core.ids import StepKey
from soc_deploy_mcp.core.plan import Bake, Baseline, Confirm, MarkStable, Shift, Step


def steps(ctx: PlanContext) -> tuple[Step, ...]:
    version = ctx.new.version
    back = "no requests to it, then stop it: nothing to return to"
    return (
        *expand(ctx, "before_start"),
        start(ctx, "first/provision", "Provision environment", 0),
        start(ctx, "first/deploy", f"Deploy {version}", ctx.full),
        smoke(ctx),
        *expand(ctx, "before_switch"),
        Step(
            key=StepKey("switch"),
            row=f"Switch traffic (to {version})",
            ops=(Baseline(), Shift(new=100), Confirm(new=100)),
            phase="PROMOTING",
            deadline_s=2 * ROUTER_S,
            verification="the router reports the new weights and probes through the entry agree",
            undo=back,
        ),
        verify(ctx, Bake(window_s=ctx.deploy.bake), MarkStable(), undo=back),
        *data(ctx),
    )
