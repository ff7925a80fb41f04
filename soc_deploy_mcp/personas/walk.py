"""The walk of a run up to the gate: gather, plan, preflight, approval. It changes nothing on the target.

After a crash it is walked again from its start; what it read then counts, not what it read before.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from soc_deploy_mcp.core.canonical import digest
from soc_deploy_mcp.core.errors import DeployError
from soc_deploy_mcp.core.event import (
    Announced,
    ApprovalGiven,
    CheckMade,
    ErrorSeen,
    EvidenceSeen,
    Finished,
    HealthSeen,
    Moved,
    Notice,
    PlanMade,
    State,
)
from soc_deploy_mcp.core.evidence import Check, Evidence, Facts
from soc_deploy_mcp.core.ids import Instant, StepKey
from soc_deploy_mcp.core.plan import Plan
from soc_deploy_mcp.core.request import Caller, Request
from soc_deploy_mcp.engine.approvals import Approval, Approvals, Ask, needed
from soc_deploy_mcp.engine.approvals.desk import APPROVED, REJECTED
from soc_deploy_mcp.engine.context import Aborted, Passage, Walking
from soc_deploy_mcp.personas import preflight
from soc_deploy_mcp.personas.question import GATE, foretold, question

WAIT_S = 24 * 3600.0


class Lead(Protocol):
    """devops-agent for one action: reads the world and plans. Readers only."""

    async def plan(self, request: Request) -> tuple[Plan, Sequence[Evidence]]:
        """The plan and everything it was made from. DeployError for what no plan can be made of."""
        ...

    async def tests(self, plan: Plan) -> Sequence[Evidence]:
        """Run the project's tests for the artifact of the plan. E_TESTS_MISSING when there are none."""
        ...

    async def health(self, plan: Plan) -> HealthSeen | None:
        """How the active release is now, against the targets. None: nothing serves."""
        ...

    async def baseline(self, plan: Plan) -> str:
        """Digest of the target as it is now: what an approval is given for."""
        ...

    async def free(self) -> None:
        """Raises E_LOCKED, with the holder, when another run holds the target."""
        ...

    def now(self) -> Instant: ...


@dataclass(frozen=True, slots=True)
class Errand:
    """What the walk is for."""

    request: Request
    caller: Caller
    lead: Lead
    approvals: Approvals


class Refused(Exception):
    """The walk ends here and users saw nothing."""

    def __init__(self, reason: str, error: DeployError | None = None) -> None:
        super().__init__(reason)
        self.reason, self.error = reason, error


async def walk(ctx: Walking, errand: Errand) -> None:
    """To the gate and through it, or to a terminal state without a change."""
    try:
        await _walk(ctx, errand)
    except Aborted as aborted:
        await _refuse(ctx, Refused(f"cancelled by {aborted.by}: {aborted.reason}"))
    except DeployError as error:
        await _refuse(ctx, Refused(error.what, error))
    except Refused as refused:
        await _refuse(ctx, refused)


async def _walk(ctx: Walking, errand: Errand) -> None:
    if not errand.request.dry_run:
        await errand.lead.free()
    plan, evidence = await _planned(ctx, errand)
    await _moved(ctx, State.PLANNED)
    if plan.no_change:
        await _end(ctx, State.SUCCEEDED, f"no change: {plan.new.version} serves {plan.target.name} already")
        return
    await _moved(ctx, State.PREFLIGHT)
    plan, checks = await _checked(ctx, errand, plan, evidence)
    if blocking := [check for check in checks if check.blocks]:
        raise Refused(_blocked(blocking), _error_of(blocking, errand.request))
    if errand.request.dry_run:
        await _foretell(ctx, errand, plan)
        await _end(ctx, State.DRY_RUN, "nothing was executed")
        return
    await _through(ctx, errand, plan)


async def _planned(ctx: Walking, errand: Errand) -> tuple[Plan, Sequence[Evidence]]:
    plan, evidence = await errand.lead.plan(errand.request)
    await _told(ctx, evidence)
    await ctx.emit(PlanMade(plan=plan, hash=plan.hash), f"plan/{plan.hash}")
    return plan, evidence


async def _checked(
    ctx: Walking, errand: Errand, plan: Plan, evidence: Sequence[Evidence]
) -> tuple[Plan, tuple[Check, ...]]:
    """The preflight list, and the plan it is about. Tests run only when all that is cheaper has passed."""
    checks = _checks(errand, plan, evidence)
    if [check.id for check in checks if check.blocks] == ["g.tests"]:
        ran = await errand.lead.tests(plan)
        await _told(ctx, ran)
        plan, evidence = await _planned(ctx, errand)  # tests take minutes: what was seen before them is stale
        if plan.no_change:
            raise Refused(f"another run brought {plan.new.version} to {plan.target.name} while its tests ran")
        checks = _checks(errand, plan, (*evidence, *ran))
    for check in checks:
        await ctx.emit(CheckMade(check=check), f"check/{check.id}")
    return plan, checks


def _checks(errand: Errand, plan: Plan, evidence: Sequence[Evidence]) -> tuple[Check, ...]:
    return preflight.run(errand.request, plan, Facts(evidence, errand.lead.now())).checks


async def _foretell(ctx: Walking, errand: Errand, plan: Plan) -> None:
    """What a dry run shows besides the plan: how the active release is, what the judge could see, what would block."""
    if health := await errand.lead.health(plan):
        await ctx.emit(health, "health")
    who = needed(errand.request.action, plan.settings.environment, auto_approve=errand.request.auto_approve)
    lines = [*foretold(plan), GATE[who]]
    try:
        await errand.lead.free()
    except DeployError as held:
        lines.append(f"gate: {held.what}")
    for number, line in enumerate(lines):
        await ctx.emit(Notice(level="note", text=line), f"foretold/{number}")


# --- the gate


async def _through(ctx: Walking, errand: Errand, plan: Plan) -> None:
    baseline = await errand.lead.baseline(plan)
    request, environment = errand.request, plan.settings.environment
    who = needed(request.action, environment, auto_approve=request.auto_approve)
    approval: str | None = None
    if who == "nobody":
        why = "rollback" if request.action == "rollback" else environment
        given = ApprovalGiven(grade="none", by=errand.caller.subject, channel=why)
        await ctx.emit(given, "approval")
    else:
        approval = await _approved(ctx, errand, plan, baseline, ask=who == "person")
        baseline = await errand.lead.baseline(plan)  # what was approved is what is there now, or it is void
    program = f"{plan.action}/1"
    await ctx.pass_gate(
        Passage(program=program, args={"plan": plan.hash}, plan_hash=plan.hash, baseline=baseline, approval=approval)
    )


async def _approved(ctx: Walking, errand: Errand, plan: Plan, baseline: str, *, ask: bool) -> str:
    """The id of a yes for exactly this plan on exactly this baseline."""
    desk = errand.approvals
    asked = Ask(
        run=ctx.run,
        target=plan.target.id,
        plan_hash=plan.hash,
        baseline=baseline,
        question=question(ctx.run, plan),
        command=f"soc-deploy approve {ctx.run}",
    )
    if not ask:
        return (await desk.give(asked, by=errand.caller.subject, channel="--auto-approve")).id
    if ready := await desk.usable(plan.target.id, plan.hash, baseline):
        return ready.id
    waiting = await desk.request(asked)
    await _moved(ctx, State.WAITING_APPROVAL)
    line = f"{plan.new.version} on {plan.target.name} waits for approval: {asked.command}"
    await ctx.emit(Announced(event="waiting_approval", line=line), "waiting")
    return await _answered(ctx, waiting)


async def _answered(ctx: Walking, waiting: Approval) -> str:
    taken = await ctx.wait(StepKey("approval/answer"), (APPROVED, REJECTED), WAIT_S)
    if taken is None:
        raise Refused("nobody approved it within 24 hours")
    if taken.name == REJECTED:
        reason = (taken.payload or {}).get("reason") or "no reason given"
        raise Refused(f"rejected by {taken.by}: {reason}")
    return waiting.id


# --- how a walk ends


async def _refuse(ctx: Walking, refused: Refused) -> None:
    if refused.error is not None:
        error = refused.error
        seen = ErrorSeen(code=error.code, what=error.what, why=error.why, try_=error.try_)
        await ctx.emit(seen, "error")
    await _end(ctx, State.FAILED_NO_CHANGE, f"no user traffic was affected: {refused.reason}")


async def _end(ctx: Walking, state: State, line: str) -> None:
    await _moved(ctx, state)
    await ctx.emit(Finished(state=state, first_line=line), "finish")


async def _moved(ctx: Walking, state: State) -> None:
    await ctx.emit(Moved(state=state), f"state/{state}")


async def _told(ctx: Walking, evidence: Sequence[Evidence]) -> None:
    for one in evidence:
        await ctx.emit(EvidenceSeen(evidence=one), f"evidence/{one.id}")


def _blocked(blocking: Sequence[Check]) -> str:
    return "; ".join(f"{check.title}: {check.reason}" for check in blocking)


def _error_of(blocking: Sequence[Check], request: Request) -> DeployError:
    """One error for all checks that close the gate, with what to type for the first."""
    first = blocking[0]
    hints = {"g.tests": "fix the tests, or type the command again with --skip-tests (emergency use only)"}
    return DeployError(
        "E_CHECKS",
        f"{len(blocking)} required check(s) did not pass: {_blocked(blocking)}",
        "nothing was changed",
        hints.get(first.id, "soc-deploy status"),
    )


def baseline_digest(active: str | None, weights: dict[str, int] | None, stable: str | None) -> str:
    """What an approval is bound to besides the plan: what serves, with which weights, and what is stable."""
    return digest({"active": active, "weights": weights, "stable": stable})
