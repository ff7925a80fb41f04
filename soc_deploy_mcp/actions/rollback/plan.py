"""The way back as a plan: hot is one router write, cold starts the old release first. An emergency does not wait for
evidence to go back, but the release must be ready and pass its smoke tests."""

from soc_deploy_mcp.actions.deploy import lineage as lin
from soc_deploy_mcp.actions.deploy import migrations as mig
from soc_deploy_mcp.actions.deploy.plan import back_estimate, duration
from soc_deploy_mcp.actions.deploy.readers import Gathered
from soc_deploy_mcp.actions.deploy.strategies.context import ROUTER_S, VERIFY_MAX_S, PlanContext, smoke, start
from soc_deploy_mcp.actions.deploy.strategies.rolling import steps as rolling_steps
from soc_deploy_mcp.core.config import Strategy
from soc_deploy_mcp.core.ids import StepKey
from soc_deploy_mcp.core.plan import (
    Advice,
    Confirm,
    Drain,
    Ensure,
    Incident,
    MarkStable,
    Op,
    Plan,
    Remove,
    Shift,
    Step,
    Verify,
    WayBack,
)
from soc_deploy_mcp.core.request import Request

DEFAULT: Strategy = "blue-green"


def plan(request: Request, seen: Gathered) -> Plan:
    """The frozen plan of a rollback. Unless another path was typed, it is a flip."""
    strategy = request.strategy or DEFAULT
    ctx = PlanContext(new=seen.new, old=seen.old, settings=seen.settings, migrations=())
    made = () if seen.no_change else _steps(strategy, ctx, hot=seen.hot)
    return Plan(
        action="rollback",
        target=seen.target,
        strategy=strategy,
        new=seen.new,
        old=seen.old,
        hot=seen.hot,
        steps=made,
        way_back=_further_back(seen),
        settings=seen.settings,
        auto_rollback=False,
        reason=request.reason,
        advice=Advice(
            risks=(*seen.warnings, "not restored: data, contract migrations, messages and calls that went out"),
            duration_s=duration(made),
            back_s=back_estimate(seen),
            back_basis="measured on this target" if seen.history.back_s else "one router write and its confirmation",
        ),
    )


def _further_back(seen: Gathered) -> WayBack:
    """If the release fails its smoke test the next candidate is named; nothing goes down the chain by itself."""
    return lin.previous_stable(
        seen.history.lineage,
        seen.new.slug,
        lambda release: seen.gone.get(release.slug, ""),
        lambda life: mig.risk_after(life, seen.history.applied),
    )


def _steps(strategy: Strategy, ctx: PlanContext, *, hot: bool) -> tuple[Step, ...]:
    version = ctx.new.version
    resolve = Step(
        key=StepKey("resolve"),
        row=f"Resolve rollback target ({version})",
        ops=(),
        deadline_s=ROUTER_S,
        verification="the lineage rules, when the plan was made",
        undo="nothing was changed",
    )
    if strategy == "rolling" and ctx.old is not None and not hot:
        return (resolve, *_without_judging(rolling_steps(ctx)), _incident())
    came = () if hot else (start(ctx, "back/start", f"Start {version}", ctx.full),)
    stopped = (_stop_first(ctx),) if strategy == "recreate" and ctx.old is not None and not hot else ()
    return (resolve, *stopped, *came, smoke(ctx), _switch(), _verify(ctx), *_leave(ctx), _incident())


def _stop_first(ctx: PlanContext) -> Step:
    assert ctx.old is not None
    return Step(
        key=StepKey("old/stop"),
        row=f"Stop {ctx.old.version}",
        ops=(
            Ensure(side="new", instances=0),
            Shift(new=0, hold=True),
            Drain(side="old"),
            Ensure(side="old", instances=0),
        ),
        deadline_s=ctx.start_limit_s() + ctx.stop_limit_s(),
        verification="requests are held and no old process is left",
        undo=f"start {ctx.old.version} again",
    )


def _switch() -> Step:
    return Step(
        key=StepKey("switch"),
        row="Switch traffic",
        ops=(Shift(new=100), Confirm(new=100)),
        phase="PROMOTING",
        deadline_s=2 * ROUTER_S,
        verification="the router reports the new weights and probes through the entry agree",
        undo="one router write back",
    )


def _verify(ctx: PlanContext) -> Step:
    window = ctx.deploy.verify_window
    return Step(
        key=StepKey("verify"),
        row="Verify production health" if ctx.settings.environment == "prod" else "Verify health",
        ops=(Verify(window_s=window, max_s=window, accept=False),),
        phase="PROMOTING",
        deadline_s=max(VERIFY_MAX_S, window) + ROUTER_S,
        verification="smoke list as users and health checks over the window",
        undo="no undo: name another release",
    )


def _leave(ctx: PlanContext) -> tuple[Step, ...]:
    if ctx.old is None:
        return ()
    return (
        Step(
            key=StepKey("old/stop-last"),
            row=f"Drain and stop {ctx.old.version}",
            ops=(Drain(side="old"), Remove(side="old")),
            phase="PROMOTING",
            deadline_s=ctx.stop_limit_s(),
            verification="no process of it is left; its logs stay",
            undo="no undo: it is rolled back from",
        ),
    )


def _incident() -> Step:
    return Step(
        key=StepKey("incident"),
        row="Incident report",
        ops=(Incident(),),
        phase="PROMOTING",
        deadline_s=ROUTER_S,
        verification="the file is written",
        undo="nothing to undo",
    )


def _without_judging(steps: tuple[Step, ...]) -> tuple[Step, ...]:
    """A rolling update for going back: the same batches, without waiting for evidence and without a new mark."""
    kept = [step.model_copy(update={"ops": tuple(_hurried(op) for op in step.ops if _kept(op))}) for step in steps]
    return tuple(step for step in kept if step.ops)


def _kept(op: Op) -> bool:
    return op.kind not in ("judge", "baseline", "bake") and not isinstance(op, MarkStable)


def _hurried(op: Op) -> Op:
    return Verify(window_s=op.window_s, max_s=op.window_s, accept=False) if isinstance(op, Verify) else op
