"""One approval: for one plan on one target in one state, for a while, once."""

from dataclasses import dataclass
from typing import Literal

from soc_deploy_mcp.core.ids import Instant, PlanHash, RunId, TargetId
from soc_deploy_mcp.core.model import Noun
from soc_deploy_mcp.engine.store import Row, Tx, Value

Standing = Literal["requested", "granted", "consumed", "rejected", "expired", "void"]
Channel = Literal["--auto-approve", "terminal", "elicitation"]
_COLUMNS = (
    "id, run, target, plan_hash, baseline, state, question_id, question, command, asked_at, wait_until, grade, "
    "granted_by, channel, unattended, granted_at, expires_at, used_by, why"
)


@dataclass(frozen=True, slots=True)
class ApprovalTimes:
    """Seconds."""

    valid: float = 4 * 3600.0
    wait: float = 24 * 3600.0


class Ask(Noun):
    """What somebody is to say yes to."""

    run: RunId
    target: TargetId
    plan_hash: PlanHash
    baseline: str  # digest of the target as it is now
    question: str  # deterministic: the same run and plan give the same text
    command: str  # what a person types: soc-deploy approve RUN


class Approval(Noun):
    id: str
    run: RunId  # it was asked for
    target: TargetId
    plan_hash: PlanHash
    baseline: str
    state: Standing
    question_id: str  # spent with the first answer
    question: str
    command: str
    asked_at: Instant
    wait_until: Instant  # nobody answers after this
    grade: Literal["A0", "A1"] | None = None
    granted_by: str | None = None
    channel: Channel | None = None
    unattended: bool = False
    granted_at: Instant | None = None
    expires_at: Instant | None = None  # not used after this
    used_by: RunId | None = None
    why: str | None = None  # why it is void or rejected


def insert(tx: Tx, approval: Approval) -> None:
    names = _COLUMNS.split(", ")
    row = approval.to_json()
    marks = ", ".join("?" * len(names))
    tx.change(f"insert into approvals({_COLUMNS}) values({marks})", *(row[name] for name in names))


def select(tx: Tx, where: str, *values: Value) -> list[Approval]:
    return [_approval(row) for row in tx.all(f"select {_COLUMNS} from approvals where {where}", *values)]


def one(tx: Tx, id_: str) -> Approval | None:
    return next(iter(select(tx, "id=?", id_)), None)


def close(tx: Tx, run: RunId) -> None:
    """A run is over: what was asked for it and not used is void, so that no other run finds it."""
    open_ = "state in ('requested', 'granted')"
    tx.change(f"update approvals set state='void', why='the run ended' where run=? and {open_}", run)


def _approval(row: Row) -> Approval:
    return Approval.from_json({name: row[name] for name in _COLUMNS.split(", ")})
