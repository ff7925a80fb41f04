"""A plan's steps as the judge sees them: weights, whether the old release takes requests too, and limits of time."""

from dataclasses import replace

from soc_deploy_mcp.actions.deploy.judge import Measured, Specs, Stage, planned_ticks, specs
from soc_deploy_mcp.core.plan import Bake, Judge, Op, Plan, Verify

# How long memory must grow before it is called a leak: in production a cache that fills must not look like one.
LEAK_S, LEAK_PROD_S = 10.0, 60.0


def stage(plan: Plan, op: Op) -> Stage | None:
    """None for what is not judged."""
    match op:
        case Judge(new=new, min_s=low, max_s=high):
            return Stage(weight=new, concurrent=plan.old is not None, min_s=low, max_s=high)
        case Verify(window_s=window, max_s=high):
            return Stage(weight=100, concurrent=False, min_s=window, max_s=high)
        case Bake(window_s=window):
            return Stage(weight=100, concurrent=False, min_s=window, max_s=window)
        case _:
            return None


def stages(plan: Plan) -> tuple[Stage, ...]:
    return tuple(s for step in plan.steps for op in step.ops if (s := stage(plan, op)) is not None)


def waiting_stages(plan: Plan) -> tuple[Stage, ...]:
    """Those that wait for the judge's acceptance."""
    ops = (op for step in plan.steps for op in step.ops)
    return tuple(
        s for op in ops if isinstance(op, (Judge, Verify)) and op.accept and (s := stage(plan, op)) is not None
    )


def rules(plan: Plan, measured: Measured, one: Stage, *, synthetic: bool) -> Specs:
    settings = plan.settings
    ruled = specs(settings.judge, settings.health_checks, measured, stages(plan), one, synthetic=synthetic)
    return replace(ruled, leak_window_s=LEAK_PROD_S if plan.target.environment == "prod" else LEAK_S)


def ticks(plan: Plan) -> int:
    """Ticks of the longest rollout, which the mixture over the start of a regression is spread over."""
    judge, deploy = plan.settings.judge, plan.settings.deploy
    return planned_ticks(judge, stages(plan), extended=deploy.inconclusive == "extend")
