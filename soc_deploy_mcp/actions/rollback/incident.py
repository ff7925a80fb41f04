"""The incident report: what users met, when it was seen, what was done. A projection of the run's journal."""

from collections.abc import Iterator, Sequence
from typing import Any

from soc_deploy_mcp.core import event as ev
from soc_deploy_mcp.core.event import Record, State
from soc_deploy_mcp.core.ids import Instant
from soc_deploy_mcp.core.model import Noun
from soc_deploy_mcp.core.plan import Plan
from soc_deploy_mcp.core.release import Release
from soc_deploy_mcp.core.report.text import cause, one_line
from soc_deploy_mcp.core.times import iso, second

NOT_RESTORED = (
    "data written while the release served",
    "contract migrations",
    "messages, mails and calls to others",
    "configuration outside the release",
)


class Incident(Noun):
    """The ten sections of docs/incidents.md as data; written beside the Markdown as JSON."""

    run: str
    version: str  # of the release that was, or was to be, taken back
    environment: str
    service: str
    trigger: str
    status: str
    before: bool  # it had requests before this run began: the run is a rollback by hand
    began: str | None  # otherwise: its first request
    ended: str | None  # all requests go elsewhere, confirmed; None: not, or not known
    counted: str  # the version whose requests `impact` counts: the one that this run brought
    impact: dict[str, Any]
    timeline: tuple[tuple[str, str, str], ...]  # UTC, event, actor
    detection: dict[str, Any]
    decision: dict[str, Any]
    recovery: dict[str, Any]
    logs: tuple[str, ...]  # untrusted
    quarantined: tuple[str, ...]  # versions
    evidence: tuple[str, ...]  # kind and id


def incident(plan: Plan, records: Sequence[Record], state: State) -> Incident:
    """Pure: the same rows give the same report. The release it is about is the one that was taken back."""
    by_hand = plan.action == "rollback"
    about = plan.old if by_hand and plan.old else plan.new
    facts = _Facts(records, about, by_hand=by_hand)
    if by_hand and state is State.SUCCEEDED:
        facts.quarantined += (about.version,)  # written when the run ends, which is after this report
    back = facts.back
    return Incident(
        run=records[0].run,
        version=about.version,
        environment=plan.target.environment,
        service=plan.target.service,
        trigger=f"{cause(back[1].code, back[1].by)}: {back[1].why}" if back else "unknown",
        status=state.value,
        before=by_hand,
        began=iso(facts.live) if facts.live else None,
        ended=iso(facts.home) if facts.home else None,
        counted=plan.new.version,
        impact=facts.impact,
        timeline=tuple((at, what, _who(by, records)) for at, what, by in _timeline(records)),
        detection=facts.detection,
        decision=_decision(*back, plan, records) if back else {},
        recovery=facts.recovery,
        logs=facts.logs,
        quarantined=tuple(dict.fromkeys(facts.quarantined)),
        evidence=tuple(dict.fromkeys(facts.evidence)),
    )


def _decision(record: Record, back: ev.GoingBack, plan: Plan, records: Sequence[Record]) -> dict[str, Any]:
    return {"by": _who(back.by, records), "at": iso(record.at), "auto_rollback": plan.auto_rollback}


def _who(by: str, records: Sequence[Record]) -> str:
    """A rollback by hand was decided by whoever asked for the run."""
    opened = ev.payload(records[0]) if by == "operator" else None
    return opened.caller.subject if isinstance(opened, ev.RunOpened) else by


class _Facts:
    """What the rows say of the release that the report is about, picked out."""

    def __init__(self, records: Sequence[Record], about: Release, *, by_hand: bool) -> None:
        self.about, self.by_hand = about, by_hand
        self.back: tuple[Record, ev.GoingBack] | None = None
        self.live: Instant | None = None
        self.home: Instant | None = None
        self.impact: dict[str, Any] = {}
        self.detection: dict[str, Any] = {}
        self.recovery: dict[str, Any] = {}
        self.logs: tuple[str, ...] = ()
        self.quarantined: tuple[str, ...] = ()
        self.evidence: tuple[str, ...] = ()
        self.aborting = False
        for record in records:
            self._read(record)

    def _read(self, record: Record) -> None:
        match ev.payload(record):
            case ev.GoingBack() as back:
                self.back = self.back or (record, back)
            case ev.Moved(state=State.ABORTING):
                self.aborting = True
            case ev.LineageChanged(change="live", release=release) if release.slug == self.about.slug:
                self.live = record.at
            case ev.LineageChanged(change="quarantined", release=release):
                self.quarantined += (release.version,)
            case ev.TrafficBack() as back:
                # A rollback by hand that is taken back itself returns the requests to what they were taken from.
                self.home = None if self.by_hand and self.aborting else record.at
                self.recovery = {"to": back.to, "seconds": round(back.seconds, 3)}
            case ev.Impact() as impact:
                self.impact = impact.to_json()
            case ev.VerdictGiven(word=word) as verdict if word not in ("CONTINUE", "ACCEPT"):
                self.detection = self.detection or {**verdict.to_json(), "at": iso(record.at)}
            case ev.EvidenceSeen(evidence=seen):
                self.evidence += (f"{seen.kind} {seen.id}",)
            case ev.Notice(untrusted=True, text=text):
                self.logs = (*self.logs, one_line(text, 400))
            case ev.OutputSeen(instance=instance, lines=lines):
                self.logs += tuple(one_line(f"{instance}: {line}", 400) for line in lines)


def _timeline(records: Sequence[Record]) -> Iterator[tuple[str, str, str]]:
    for record in records:
        if line := _said(record):
            yield second(record.at), line[0], line[1]


def _said(record: Record) -> tuple[str, str] | None:
    match ev.payload(record):
        case ev.StepStarted(row=row):
            return row, "soc-deploy"
        case ev.StepEnded(row=row, status="failed", note=note):
            return f"{row}: {note}", "soc-deploy"
        case ev.VerdictGiven() as verdict:
            return f"{verdict.word} {verdict.metric} at {verdict.weight} %".replace("  ", " "), "judge"
        case ev.GoingBack() as back:
            return f"decided to go back: {cause(back.code, back.by)}", back.by
        case ev.TrafficBack() as back:
            return f"{back.to} has all requests, {back.seconds:.1f} s after the decision", "router"
        case ev.Moved(state=state, why=why):
            return f"{state.value} {why}".strip(), "soc-deploy"
        case _:
            return None
