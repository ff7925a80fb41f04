"""Using an approval. "Check, then start" is the replay hole: so the check is the use, in the start's transaction."""

from dataclasses import dataclass

from soc_deploy_mcp.core.errors import DeployError
from soc_deploy_mcp.core.event import ApprovalGiven, ApprovalUsed
from soc_deploy_mcp.core.ids import Instant, PlanHash, TargetId
from soc_deploy_mcp.core.times import minute
from soc_deploy_mcp.engine.approvals import record
from soc_deploy_mcp.engine.approvals.record import Approval
from soc_deploy_mcp.engine.journal import Journal
from soc_deploy_mcp.engine.runs import Run
from soc_deploy_mcp.engine.store import Tx

_STEP_BACK_S = 30.0


@dataclass(frozen=True, slots=True)
class Binding:
    """What an approval must have been given for."""

    target: TargetId
    plan_hash: PlanHash
    baseline: str


def consume(tx: Tx, journal: Journal, id_: str, run: Run, binding: Binding) -> None:
    """Spend an approval on a run. Raises E_APPROVAL_UNKNOWN, _USED, _EXPIRED, _PLAN, _BASELINE; it stays unspent."""
    now = journal.store.now()
    _refuse_turned_clock(tx, now)
    spent = tx.change(
        "update approvals set state='consumed', used_by=? where id=? and state='granted' and expires_at>? "
        "and target=? and plan_hash=? and baseline=?",
        *(run.id, id_, now, binding.target, binding.plan_hash, binding.baseline),
    )
    approval = record.one(tx, id_)
    if spent != 1 or approval is None:
        raise _refusal(approval, run, binding)
    if approval.run != run.id:  # given for the plan, before this run began: its report must name who said yes
        journal.append(tx, run.id, run.epoch, given(approval).entry())
    journal.append(tx, run.id, run.epoch, ApprovalUsed(plan_hash=binding.plan_hash).entry())


def given(approval: Approval) -> ApprovalGiven:
    if approval.grade is None or approval.granted_by is None or approval.channel is None:
        raise ValueError(f"approval {approval.id} was not granted")
    return ApprovalGiven(
        grade=approval.grade, by=approval.granted_by, channel=approval.channel, unattended=approval.unattended
    )


def _refusal(approval: Approval | None, run: Run, binding: Binding) -> DeployError:
    """What differs, and what to type. Rows are tried top to bottom."""
    again = f"soc-deploy approve {run.id}"
    if approval is None:
        return DeployError("E_APPROVAL_UNKNOWN", "there is no such approval", "nobody was asked", again)
    if approval.state == "consumed":
        used = f"it was used by {approval.used_by}"
        return DeployError("E_APPROVAL_USED", "the approval was used already", f"{used}; each counts once", again)
    if approval.plan_hash != binding.plan_hash:
        why = f"it was given for plan {approval.plan_hash[:12]}, this is plan {binding.plan_hash[:12]}"
        return DeployError("E_APPROVAL_PLAN", "the approval is for another plan", why, again)
    if approval.target != binding.target or approval.baseline != binding.baseline:
        why = "what runs there is not what the approver saw"
        return DeployError("E_APPROVAL_BASELINE", "the target changed since the approval", why, again)
    if approval.state == "granted" or approval.state == "expired":
        until = f"it was good until {minute(approval.expires_at or approval.wait_until)}"
        return DeployError("E_APPROVAL_EXPIRED", "the approval's time is over", until, again)
    why = approval.why or "no yes was given"
    return DeployError("E_APPROVAL_UNKNOWN", f"the approval is {approval.state}", why, again)


def _refuse_turned_clock(tx: Tx, now: Instant) -> None:
    """An expiry means nothing on a clock that was turned back."""
    last = tx.one("select at from journal order by position desc limit 1")
    if last is not None and last["at"] - now > _STEP_BACK_S:
        raise DeployError(
            "E_APPROVAL_EXPIRED",
            "this machine's clock went back since the approval",
            f"the journal's last row is of {minute(last['at'])}, the clock says {minute(now)}",
            "date -u\nsoc-deploy status",
        )
