"""What a run writes down. A `Record` is one row of the journal; its payload is one of the shapes below.

The report is a projection of these and of nothing else, so whoever carries a run out and whoever reports it share
this file. Times are those of the rows.
"""

from enum import StrEnum
from typing import Any, ClassVar, Literal

from soc_deploy_mcp.core.canonical import digest
from soc_deploy_mcp.core.evidence import Check, Evidence
from soc_deploy_mcp.core.ids import Epoch, EvidenceId, Instant, PlanHash, RunId, StepKey
from soc_deploy_mcp.core.model import Noun
from soc_deploy_mcp.core.plan import Plan
from soc_deploy_mcp.core.release import Release, Target
from soc_deploy_mcp.core.request import Caller, Request

GENESIS = "0" * 64  # the previous hash of a chain's first row


class State(StrEnum):
    """States of a run (docs/states.md). The last five are terminal."""

    DRAFT = "DRAFT"
    PLANNED = "PLANNED"
    PREFLIGHT = "PREFLIGHT"
    WAITING_APPROVAL = "WAITING_APPROVAL"
    QUEUED = "QUEUED"
    RUNNING = "RUNNING"
    PROMOTING = "PROMOTING"
    BAKING = "BAKING"
    PAUSED = "PAUSED"
    ABORTING = "ABORTING"
    SUCCEEDED = "SUCCEEDED"
    DRY_RUN = "DRY_RUN"
    ROLLED_BACK = "ROLLED_BACK"
    FAILED_NO_CHANGE = "FAILED_NO_CHANGE"
    NEEDS_OPERATOR = "NEEDS_OPERATOR"

    @property
    def terminal(self) -> bool:
        return self in _TERMINAL


_TERMINAL = frozenset({State.SUCCEEDED, State.DRY_RUN, State.ROLLED_BACK, State.FAILED_NO_CHANGE, State.NEEDS_OPERATOR})


class Entry(Noun):
    """What is to be appended: the row without its place in the chain."""

    kind: str
    key: str = ""
    payload: dict[str, Any] = {}


class Record(Noun):
    """One row of the journal, in the chain of its run."""

    seq: int
    run: RunId
    epoch: Epoch
    at: Instant
    kind: str
    key: str
    payload: dict[str, Any]
    prev_hash: str
    hash: str

    def expected_hash(self) -> str:
        """sha256 over the canonical JSON of the row without its own hash."""
        return digest(self.model_dump(mode="json", exclude={"hash"}))


class Payload(Noun):
    """A payload knows its kind; `entry` and `of` are the only way in and out of the journal."""

    KIND: ClassVar[str]
    TYPE: ClassVar[str] = ""  # tells payloads of one kind apart

    def entry(self, key: str = "") -> Entry:
        body = self.to_json()
        return Entry(kind=self.KIND, key=key, payload=({"type": self.TYPE} | body) if self.TYPE else body)


def payload(record: Record | Entry) -> Payload | None:
    """The typed payload of a row, or None for kinds that carry plain JSON (intent, observed, lease, …)."""
    shape = _SHAPES.get((record.kind, str(record.payload.get("type", "")))) or _SHAPES.get((record.kind, ""))
    if shape is None:
        return None
    return shape.from_json({k: v for k, v in record.payload.items() if k != "type"})


# --- before the gate


class RunOpened(Payload):
    """Kind `run`: what was asked, by whom, for which target."""

    KIND = "run"
    request: Request
    caller: Caller
    line: str  # the command as the grammar renders it
    target: Target
    several: bool = False  # the project has several services: commands must name one


class PlanMade(Payload):
    KIND = "plan"
    plan: Plan
    hash: PlanHash


class EvidenceSeen(Payload):
    KIND = "evidence"
    evidence: Evidence


class CheckMade(Payload):
    """The last check of an id counts."""

    KIND = "check"
    check: Check


class ApprovalAsked(Payload):
    KIND = "approval.requested"
    command: str
    expires_at: Instant
    question: str  # the text that is shown


class ApprovalGiven(Payload):
    KIND = "approval.granted"
    grade: Literal["none", "A0", "A1"]
    by: str  # uid:1000
    channel: str  # --auto-approve, terminal, elicitation; with grade none: why nobody was asked (dev, rollback)
    unattended: bool = False


class ApprovalUsed(Payload):
    KIND = "approval.consumed"
    plan_hash: PlanHash


# --- carrying it out


class Moved(Payload):
    """Kind `decided`: the run's state changed."""

    KIND = "decided"
    TYPE = "moved"
    state: State
    reason: str = ""  # a short code: operator, inconclusive, health_failed, …
    why: str = ""  # for people


class StepStarted(Payload):
    KIND = "emitted"
    TYPE = "step_started"
    step: StepKey
    row: str


class StepEnded(Payload):
    """`row` may say more than at the start: `Canary 5 % (ACCEPT after 2m 10s)`."""

    KIND = "emitted"
    TYPE = "step_ended"
    step: StepKey
    row: str
    status: Literal["ok", "failed", "not_run"]
    note: str = ""  # the reason when it failed or did not run


class VerdictGiven(Payload):
    """Kind `verdict`: the judge's word changed."""

    KIND = "verdict"
    step: StepKey
    word: str
    reason: str
    metric: str = ""
    weight: int
    readings: list[dict[str, Any]] = []  # one a metric: counts, e-values, thresholds
    ticks_digest: str = ""  # of the tick file so far


class HealthRow(Noun):
    check: str
    target: str
    actual: str  # "—" when unknown
    status: Literal["ok", "failed", "partial", "no_data"]
    note: str = ""
    evidence: tuple[EvidenceId, ...] = ()


class HealthSeen(Payload):
    """The Health Checks table. The last one of a run counts; rows of the judge come after the four fixed ones."""

    KIND = "emitted"
    TYPE = "health"
    release: str  # version the figures are about
    window_s: float
    rows: tuple[HealthRow, ...]


class Notice(Payload):
    """One line of Issues & Notes."""

    KIND = "emitted"
    TYPE = "notice"
    level: Literal["minor", "note", "warning", "high_risk"]
    text: str
    untrusted: bool = False  # text from outside: escaped, capped, marked


class OutputSeen(Payload):
    """The end of what an instance of a release that was taken back has written. Text from outside."""

    KIND = "emitted"
    TYPE = "output"
    release: str  # version
    instance: str
    lines: tuple[str, ...]  # oldest first


class GoingBack(Payload):
    """The decision to go back was taken."""

    KIND = "decided"
    TYPE = "going_back"
    code: str  # REJECT errors, operator, CRASH, …
    why: str
    by: str  # judge, or who asked


class TrafficBack(Payload):
    """The old release has all requests again, confirmed by the router."""

    KIND = "emitted"
    TYPE = "traffic_back"
    seconds: float  # since the decision
    to: str  # version, or "nothing"


class Downtime(Payload):
    KIND = "emitted"
    TYPE = "downtime"
    seconds: float


class Impact(Payload):
    """What users met, counted at the router."""

    KIND = "emitted"
    TYPE = "impact"
    requests_new: int
    errors_new: int
    excess_errors: float
    budget_share: float | None = None  # of the 30-day error budget; None: unknown
    lost: int | None = None  # answers made by the router because nobody could answer


class WayBackSeen(Payload):
    """Where a further rollback would go, after this run."""

    KIND = "emitted"
    TYPE = "way_back"
    current: str | None  # version that serves now
    back: str | None  # version the printed command names
    why: str
    estimate_s: float | None
    basis: str


class Announced(Payload):
    """Something people should hear of. The outbox turns it into messages in the same transaction."""

    KIND = "emitted"
    TYPE = "announced"
    event: str  # started, paused, rolled_back, succeeded, failed, waiting_approval
    line: str


class Notified(Payload):
    KIND = "notify"
    event: str
    channel: str
    label: str = ""
    status: Literal["queued", "sent", "failed"]
    receipt: str = ""  # "HTTP 200"


class Recorded(Payload):
    """A file was written for people."""

    KIND = "emitted"
    TYPE = "recorded"
    what: Literal["report", "incident", "log", "runbook"]
    path: str  # relative to the project


class LineageChanged(Payload):
    """Kind `lineage`: the life of a release on its target. Folded by actions.deploy.lineage."""

    KIND = "lineage"
    change: Literal["registered", "live", "active", "stable", "retired", "quarantined"]
    release: Release
    why: str = ""


class Finished(Payload):
    KIND = "finished"
    state: State
    reason: str = ""
    first_line: str = ""  # where traffic is now, or "no user traffic was affected"


class ErrorSeen(Payload):
    """A failure a person can act on, in the words of the error table."""

    KIND = "emitted"
    TYPE = "error"
    code: str
    what: str
    why: str = ""
    try_: str = ""


_SHAPES: dict[tuple[str, str], type[Payload]] = {
    (shape.KIND, shape.TYPE): shape
    for shape in (
        *(RunOpened, PlanMade, EvidenceSeen, CheckMade, ApprovalAsked, ApprovalGiven, ApprovalUsed, Moved),
        *(StepStarted, StepEnded, VerdictGiven, HealthSeen, Notice, GoingBack, TrafficBack, Downtime, Impact),
        *(WayBackSeen, Announced, Notified, Recorded, LineageChanged, Finished, ErrorSeen, OutputSeen),
    )
}
