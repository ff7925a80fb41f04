"""The report as data: the mission's contract, section by section. Every field is rendered; none is filled in later."""

from typing import Literal

from pydantic import Field

from soc_deploy_mcp.core.event import HealthRow, State
from soc_deploy_mcp.core.ids import EvidenceId, Instant, PlanHash, RunId, StepKey
from soc_deploy_mcp.core.model import Noun

StepStatus = Literal["ok", "failed", "running", "not_run", "planned"]


class Summary(Noun):
    action: str  # Production Deploy, Staging Deploy, Dev Deploy, Rollback
    version: str
    environment: str
    strategy: str  # Blue-Green, Canary, Rolling, Recreate
    status: str  # with its sign, as printed
    state: State
    duration_s: float | None  # None: not over
    started: Instant
    completed: Instant | None
    run: RunId
    plan_hash: PlanHash | None
    approval: str | None
    risks: tuple[str, ...] = ()


class Box(Noun):
    """One line of a checklist. `ticked` only with evidence: the constructor of Check sees to it."""

    title: str
    ticked: bool
    figure: str = ""
    reason: str = ""
    evidence: tuple[EvidenceId, ...] = ()


class StepRow(Noun):
    number: int
    key: StepKey
    action: str
    status: StepStatus
    duration_s: float | None


class RollbackInfo(Noun):
    previous: str  # "v2.0.8", or "none (why)"
    command: str | None
    why_not: str = ""  # when there is no command
    estimate_s: float | None
    basis: str = ""
    triggered: str  # "No", or "Yes: …"


class Note(Noun):
    level: Literal["minor", "note", "warning", "high_risk"]
    text: str


class Report(Noun):
    """docs/report.schema.json is generated from this."""

    schema_: Literal[1] = Field(alias="schema", default=1)
    summary: Summary
    checklist: tuple[Box, ...]
    steps: tuple[StepRow, ...]
    health: tuple[HealthRow, ...]
    rollback: RollbackInfo
    post: tuple[Box, ...]
    notes: tuple[Note, ...]
    head: str  # hash of the last journal row the report was made from
