"""From a run's journal to its report. A pure function: the same rows give the same report."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from soc_deploy_mcp.core import event as ev
from soc_deploy_mcp.core.event import HealthRow, Record, State
from soc_deploy_mcp.core.evidence import Check, CheckState
from soc_deploy_mcp.core.ids import Instant, RunId, StepKey
from soc_deploy_mcp.core.report.boxes import CHECKLIST, POST, box
from soc_deploy_mcp.core.report.model import Note, Report, RollbackInfo, StepRow, StepStatus, Summary
from soc_deploy_mcp.core.report.text import cause, inline, metric, one_line
from soc_deploy_mcp.core.times import second

FOUR_CHECKS = ("Response Time", "Error Rate", "CPU Usage", "Memory Usage")
_ACTIONS = {"dev": "Dev Deploy", "staging": "Staging Deploy", "prod": "Production Deploy"}
_STRATEGIES = {"blue-green": "Blue-Green", "canary": "Canary", "rolling": "Rolling", "recreate": "Recreate"}


@dataclass
class _Row:
    """One step as its rows tell it. A step that was tried again stays one row."""

    key: StepKey
    action: str
    started: Instant
    ended: Instant | None = None
    status: StepStatus = "running"


@dataclass
class _Seen:
    """What the rows of a run said so far; the last word of each kind counts."""

    run: RunId
    opened: ev.RunOpened
    opened_at: Instant
    plan: ev.PlanMade | None = None
    checks: dict[str, Check] = field(default_factory=dict)
    state: State = State.DRAFT
    reason: str = ""
    rows: dict[str, _Row] = field(default_factory=dict)
    health: ev.HealthSeen | None = None
    approval: ev.ApprovalGiven | None = None
    back: tuple[ev.GoingBack, Instant] | None = None
    traffic_back: ev.TrafficBack | None = None
    way_back: ev.WayBackSeen | None = None
    notices: list[Note] = field(default_factory=list)
    finished: tuple[ev.Finished, Instant] | None = None
    at_work_since: Instant | None = None


def project(records: Sequence[Record]) -> Report:
    """The report of a run, finished or not. `records` are its rows in order, the first one of kind `run`."""
    opened = ev.payload(records[0]) if records else None
    if not isinstance(opened, ev.RunOpened):
        raise ValueError("the first row is not of kind run: this is no run's journal")
    seen = _Seen(records[0].run, opened, records[0].at)
    for record in records[1:]:
        _read(seen, record)
    return Report(
        summary=_summary(seen),
        checklist=tuple(box(title, seen.checks.get(id_), _unreached(seen, id_)) for id_, title in CHECKLIST),
        steps=tuple(_steps(seen)),
        health=tuple(_health(seen)),
        rollback=_rollback(seen),
        post=tuple(box(title, seen.checks.get(id_), _unreached(seen, id_)) for id_, title in POST),
        notes=tuple(_notes(seen, records)),
        head=records[-1].hash,
    )


def _read(seen: _Seen, record: Record) -> None:
    match ev.payload(record):
        case ev.PlanMade() as plan:
            seen.plan = plan
        case ev.CheckMade(check=check):
            seen.checks[check.id] = check
        case ev.ApprovalGiven() as approval:
            seen.approval = approval
        case ev.Moved() as moved:
            seen.state, seen.reason = moved.state, moved.reason
            if moved.state is State.RUNNING and seen.at_work_since is None:
                seen.at_work_since = record.at
        case ev.StepStarted() as step:
            seen.rows.setdefault(step.step, _Row(step.step, step.row, record.at))
        case ev.StepEnded() as step:
            _end(seen, step, record.at)
        case ev.HealthSeen() as health:
            seen.health = health
        case ev.GoingBack() as back:
            seen.back = seen.back or (back, record.at)
        case ev.TrafficBack() as back:
            seen.traffic_back = back
        case ev.WayBackSeen() as way:
            seen.way_back = way
        case ev.Finished() as finished:
            seen.finished, seen.state = (finished, record.at), finished.state
        case other:
            seen.notices.extend(_said(other))


def _end(seen: _Seen, step: ev.StepEnded, at: Instant) -> None:
    row = seen.rows.setdefault(step.step, _Row(step.step, step.row, at))
    row.action, row.ended, row.status = step.row, at, step.status
    told = any(step.note in notice.text for notice in seen.notices)  # the error that ended it was told already
    if step.note and step.status != "ok" and not told:
        seen.notices.append(Note(level="warning", text=one_line(f"{step.row}: {step.note}", 400)))


def _said(said: ev.Payload | None) -> Iterable[Note]:
    match said:
        case ev.Notice(level=level, text=text, untrusted=untrusted):
            shown = f"{inline(text, 200)} (untrusted)" if untrusted else one_line(text, 400)
            yield Note(level=level, text=shown)
        case ev.ErrorSeen(code=code, what=what, why=why, try_=try_):
            yield Note(level="warning", text=one_line(_sentences(f"{code}: {what}", why, _try(try_)), 600))
        case ev.Downtime(seconds=seconds):
            yield Note(level="note", text=f"downtime {seconds:.1f} s, measured at the entry")
        case ev.Impact() as impact if impact.requests_new or impact.lost:
            yield Note(level="note", text=_impact(impact))
        case ev.Recorded(what="incident", path=path):
            yield Note(level="note", text=f"incident report: {path}")


def _sentences(*parts: str) -> str:
    """Parts that stand on lines of their own elsewhere, in one line."""
    said = [part.strip() for part in parts if part.strip()]
    return " ".join(part if part.endswith((".", ":", "!", "?")) else f"{part}." for part in said[:-1]) + f" {said[-1]}"


def _try(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return f"Try: {'; or: '.join(line.removeprefix('or ') for line in lines)}" if lines else ""


def _impact(impact: ev.Impact) -> str:
    lost = "unknown how many" if impact.lost is None else f"{impact.lost}"
    budget = "" if impact.budget_share is None else f"; {100 * impact.budget_share:.1f} % of the 30-day error budget"
    return (
        f"{impact.errors_new} of {impact.requests_new} requests to the new release were answered with an error "
        f"({impact.excess_errors:.1f} above the baseline); {lost} lost by the platform{budget}"
    )


def _summary(seen: _Seen) -> Summary:
    request, plan = seen.opened.request, seen.plan.plan if seen.plan else None
    environment = seen.opened.target.environment
    version = (plan.new.version if plan else request.version) or "unknown"
    strategy = plan.strategy if plan else request.strategy
    ended = seen.finished[1] if seen.finished else None
    started = seen.at_work_since or seen.opened_at
    return Summary(
        action="Rollback" if request.action == "rollback" else _ACTIONS.get(environment, "Deploy"),
        version=version,
        environment=environment,
        strategy=_STRATEGIES.get(strategy or "rolling", "Rolling"),
        status=status(seen.state, seen.reason, request.action),
        state=seen.state,
        duration_s=None if ended is None else ended - started,
        started=started,
        completed=ended,
        run=seen.run,
        plan_hash=seen.plan.hash if seen.plan else None,
        approval=_approval(seen),
        risks=_risks(seen),
    )


def status(state: State, reason: str, action: str) -> str:
    """The status line: exactly one of the contract's words, or where the run stands before its end."""
    match state:
        case State.SUCCEEDED:
            return "⚠️ ROLLBACK" if action == "rollback" else "✅ SUCCESS"
        case State.ROLLED_BACK:
            return "⚠️ ROLLBACK"
        case State.FAILED_NO_CHANGE | State.NEEDS_OPERATOR:
            return "❌ FAILED"
        case State.DRY_RUN:
            return "DRY RUN (nothing executed)"
        case State.PAUSED:
            return f"⏸ PAUSED ({reason})"
        case State.WAITING_APPROVAL:
            return "⏳ WAITING FOR APPROVAL"
        case _:
            return "⏳ RUNNING"


def _approval(seen: _Seen) -> str | None:
    given = seen.approval
    if given is None:
        return None
    if given.grade == "none":
        return f"none needed ({given.channel})"
    words = [given.grade, given.channel, f"by {given.by}"]
    if given.unattended:
        words = [given.grade, given.channel, "UNATTENDED"]
    return ", ".join([*words, "UNGOVERNED (no approver enrolled)"])


def _risks(seen: _Seen) -> tuple[str, ...]:
    waivers = seen.plan.plan.waivers if seen.plan else ()
    risks = [f"{w.flag}: {_WAIVED.get(w.check, w.check)}" for w in waivers if w.flag != "--skip-security"]
    if any(w.flag == "--skip-security" for w in waivers):
        risks.insert(0, "HIGH RISK: security skipped")
    return tuple(risks)


_WAIVED = {"g.tests": "released without evidence that the tests pass"}


def _steps(seen: _Seen) -> Iterable[StepRow]:
    """What was done, in the order it was begun; what was planned and not reached is said so."""
    rows = list(seen.rows.values())
    for number, row in enumerate(rows, 1):
        seconds = None if row.ended is None or row.status == "not_run" else row.ended - row.started
        yield StepRow(number=number, key=row.key, action=row.action, status=row.status, duration_s=seconds)
    planned = seen.plan.plan.steps if seen.plan else ()
    left: StepStatus = "planned" if not seen.state.terminal or seen.state is State.DRY_RUN else "not_run"
    missing = [step for step in planned if step.key not in seen.rows]
    for number, step in enumerate(missing, len(rows) + 1):
        yield StepRow(number=number, key=step.key, action=step.row, status=left, duration_s=None)


def _health(seen: _Seen) -> Iterable[HealthRow]:
    rows = {row.check: row for row in seen.health.rows} if seen.health else {}
    targets = _targets(seen)
    for name in FOUR_CHECKS:
        known = rows.pop(name, None)
        yield known or HealthRow(check=name, target=targets.get(name, "—"), actual="—", status="no_data")
    yield from rows.values()


def _targets(seen: _Seen) -> dict[str, str]:
    if seen.plan is None:
        return {}
    checks = seen.plan.plan.settings.health_checks
    targets = (checks.response_time.target, checks.error_rate.target, checks.cpu.target, checks.memory.target)
    return dict(zip(FOUR_CHECKS, targets, strict=True))


def _rollback(seen: _Seen) -> RollbackInfo:
    plan, way = seen.plan.plan if seen.plan else None, seen.way_back
    if way is not None:
        previous, back, why = way.current if _went_back(seen) else way.back, way.back, way.why
        estimate, basis = way.estimate_s, way.basis
    else:
        release = plan.way_back.release if plan else None
        previous = back = release.version if release else None
        why = plan.way_back.why if plan else "no plan was made"
        estimate, basis = (plan.advice.back_s, plan.advice.back_basis) if plan else (None, "")
    return RollbackInfo(
        previous=previous or f"none ({why})",
        command=_command(seen, back) if back else None,
        why_not="" if back else why,
        estimate_s=estimate if back else None,
        basis=basis,
        triggered=_triggered(seen),
    )


def _went_back(seen: _Seen) -> bool:
    """Does what runs now differ from what was asked for? Then `Previous Version` is what runs."""
    return seen.state in (State.ROLLED_BACK, State.FAILED_NO_CHANGE) or seen.opened.request.action == "rollback"


def _command(seen: _Seen, version: str) -> str:
    target = seen.opened.target
    service = f" --service {target.service}" if seen.opened.several else ""
    return f"/soc-deploy rollback --environment {target.environment} --version {version}{service}"


_BY_PEOPLE = frozenset({"operator", "by hand"})


def _triggered(seen: _Seen) -> str:
    if seen.back is None:
        return "No"
    back, at = seen.back
    if back.code in _BY_PEOPLE:
        who = back.by if back.by != "operator" else seen.opened.caller.subject
        code = f"by {cause('operator', who)}"
    else:
        word, _, detail = back.code.partition(" ")
        code = f"{word} {metric(detail)}".strip()
    when = f"decided {second(at)}"
    if seen.traffic_back is None:
        affected = "no user traffic was affected" if seen.state is State.FAILED_NO_CHANGE else "not confirmed"
        return f"Yes: {code}, {when}, {affected}"
    return f"Yes: {code}, {when}, traffic back after {max(seen.traffic_back.seconds, 0.1):.1f} s"


def _unreached(seen: _Seen, check: str) -> str:
    """Why a box has no check at all."""
    if seen.opened.request.action == "rollback" and check in ("g.tests", "g.scan_ran"):
        return "not applicable to a rollback"
    if seen.state is State.DRY_RUN:
        return "not run (dry run)"
    if seen.plan is not None and seen.plan.plan.no_change and seen.state.terminal:
        return "not run (nothing to change)"
    return "not reached" if seen.state.terminal else "not yet"


_ORDER = {"high_risk": 0, "warning": 1, "minor": 2, "note": 3}


def _notes(seen: _Seen, records: Sequence[Record]) -> Iterable[Note]:
    notes = list(seen.notices)
    if seen.finished and seen.finished[0].first_line:
        level = "warning" if seen.state is State.NEEDS_OPERATOR else "note"
        notes.insert(0, Note(level=level, text=one_line(seen.finished[0].first_line, 400)))
    if "HIGH RISK: security skipped" in _risks(seen):
        notes.append(Note(level="high_risk", text="security skipped by --skip-security"))
    risks = seen.plan.plan.advice.risks if seen.plan else ()
    notes += [Note(level="note", text=one_line(risk, 400)) for risk in risks]
    notes += [
        Note(level="warning", text=one_line(f"{check.title}: {check.reason}", 400))
        for check in seen.checks.values()
        if check.state is CheckState.FAILED and check.id not in _BOXED
    ]
    unique = dict.fromkeys(sorted(notes, key=lambda note: _ORDER[note.level]))
    yield from unique


_BOXED = frozenset(id_ for id_, _ in (*CHECKLIST, *POST))
