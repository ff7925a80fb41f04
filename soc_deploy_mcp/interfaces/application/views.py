"""A run's rows as `RunView`: where it stands, what it waits for, what to type next."""

from collections.abc import Sequence
from typing import Final

from soc_deploy_mcp.actions.deploy.machine import Standing, refusal, standing
from soc_deploy_mcp.core.errors import Exit
from soc_deploy_mcp.core.event import Finished, PlanMade, Record, RunOpened, State, payload
from soc_deploy_mcp.core.report import Report, project
from soc_deploy_mcp.core.report.model import StepRow
from soc_deploy_mcp.engine.approvals import Approval
from soc_deploy_mcp.engine.runs import Run
from soc_deploy_mcp.interfaces.doors import RunView, Waiting

_EXITS: Final = {
    State.SUCCEEDED: Exit.OK,
    State.DRY_RUN: Exit.OK,
    State.ROLLED_BACK: Exit.ROLLED_BACK,
    State.FAILED_NO_CHANGE: Exit.NO_CHANGE,
    State.NEEDS_OPERATOR: Exit.OPERATOR,
}


def view(run: Run, records: Sequence[Record], approval: Approval | None, *, joined: bool = False) -> RunView:
    """Pure: the same rows give the same view."""
    opened = payload(records[0])
    assert isinstance(opened, RunOpened)
    report, where = project(records), standing(records)
    plan = next((p.plan for r in reversed(records) if isinstance(p := payload(r), PlanMade)), None)
    waiting = _waiting(approval) if run.state is State.WAITING_APPROVAL else None
    finished = next((p for r in reversed(records) if isinstance(p := payload(r), Finished)), None)
    done, current = progress(report)
    return RunView(
        id=run.id,
        state=run.state,
        reason=where.reason,
        line=opened.line,
        target=opened.target.name,
        action=opened.request.action,
        version=plan.new.version if plan else opened.request.version,
        strategy=plan.strategy if plan else opened.request.strategy,
        dry_run=opened.request.dry_run,
        plan_hash=plan.hash if plan else None,
        created_at=run.created_at,
        ended_at=run.ended_at,
        step=current,
        done=done,
        total=len(plan.steps) if plan else 0,
        exit=_EXITS.get(run.state, Exit.NOT_OVER),
        joined=joined,
        waiting=waiting,
        next=_next(run, where, waiting),
        first_line=finished.first_line if finished else _line(where),
    )


def progress(report: Report) -> tuple[int, str]:
    """Steps done, and the row that is being worked on."""
    done = sum(row.status in ("ok", "failed") for row in report.steps)
    running: list[StepRow] = [row for row in report.steps if row.status == "running"]
    return done, running[-1].action if running else ""


def _waiting(approval: Approval | None) -> Waiting | None:
    if approval is None or approval.state != "requested":
        return None
    return Waiting(
        question_id=approval.question_id,
        question=approval.question,
        command=approval.command,
        elicit=True,  # ungoverned: a client-attested yes counts (A1)
        expires_at=approval.wait_until,
    )


def _line(where: Standing) -> str:
    if where.state is State.WAITING_APPROVAL:
        return "NOT DEPLOYED: waits for approval"
    return f"{where.state.value} ({where.reason}): {where.why}" if where.state is State.PAUSED else ""


def _next(run: Run, where: Standing, waiting: Waiting | None) -> tuple[str, ...]:
    """Commands for a person, the likeliest first."""
    if run.state.terminal:
        return (f"soc-deploy report {run.id}",)
    if waiting is not None:
        return (waiting.command, f"soc-deploy abort {run.id}")
    verbs = [f"soc-deploy {verb} {run.id}" for verb in ("resume", "abort") if not refusal(where, verb)]
    watch = f"soc-deploy status {run.id} --watch"
    return tuple(verbs) if where.state is State.PAUSED else (watch, *verbs[-1:])
