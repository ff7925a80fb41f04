"""Recreate: the old release stops, then the new one starts. Requests are held meanwhile; downtime is measured."""

from soc_deploy_mcp.actions.deploy.strategies.context import (
    ROUTER_S,
    PlanContext,
    data,
    expand,
    measure,
    smoke,
    start,
    verify,
)
from soc_deploy_mcp.core.ids import StepKey
from soc_deploy_mcp.core.plan import Bake, Confirm, Drain, Ensure, MarkStable, Remove, Shift, Step


def steps(ctx: PlanContext) -> tuple[Step, ...]:
    old = ctx.old.version if ctx.old else "nothing"
    back = f"start {old} again and give it all requests"
    return (
        *expand(ctx, "before_start"),
        # Fetched and prepared before anything stops: what can fail, fails first.
        start(ctx, "recreate/provision", f"Provision {ctx.new.version}", 0),
        measure(ctx),
        Step(
            key=StepKey("old/stop"),
            row=f"Stop {old}",
            ops=(Shift(new=0, hold=True), Drain(side="old"), Ensure(side="old", instances=0)),
            deadline_s=ROUTER_S + ctx.stop_limit_s(),
            verification="requests are held by the router and no old process is left",
            undo=back,
        ),
        *expand(ctx, "before_switch"),
        start(ctx, "new/start", f"Start {ctx.new.version}", ctx.full).model_copy(
            update={"deadline_s": ctx.deploy.max_downtime, "undo": back}
        ),
        smoke(ctx, Shift(new=100), Confirm(new=100)).model_copy(update={"phase": "PROMOTING", "undo": back}),
        verify(ctx, Bake(window_s=ctx.deploy.bake), MarkStable(), Remove(side="old"), undo=back).model_copy(
            update={"deadline_s": verify(ctx, Bake(window_s=ctx.deploy.bake), undo=back).deadline_s + ROUTER_S}
        ),
        *data(ctx),
    )
