"""The report as Markdown: the headings, fields, columns and alignment rows of the contract, exactly."""

from collections.abc import Iterable, Sequence

from soc_deploy_mcp.core.event import HealthRow
from soc_deploy_mcp.core.report.model import Box, Note, Report, RollbackInfo, StepRow, Summary
from soc_deploy_mcp.core.report.text import cell, one_line
from soc_deploy_mcp.core.times import minute, short, words

_STEP_SIGNS = {"ok": "✅", "failed": "❌", "running": "⏳", "not_run": "⏭ not run", "planned": "planned"}
_HEALTH_SIGNS = {"ok": "✅", "failed": "❌", "partial": "⚠️", "no_data": "⚠️ no data"}
_LEVELS = {"minor": "Minor", "note": "Note", "warning": "Warning", "high_risk": "HIGH RISK"}


def markdown(report: Report, limit: int | None = None) -> str:
    """The whole text, ending in a newline.

    With `limit` (bytes) the longest lists are cut until the text fits: `… 14 more: deployment://RUN/report`.
    """
    keep = max(len(report.steps), len(report.notes), len(report.health), 1)
    text = _whole(report, keep)
    while limit is not None and len(text.encode()) > limit and keep > 4:
        keep = max(4, keep * 3 // 4)
        text = _whole(report, keep)
    return text


def _whole(report: Report, keep: int) -> str:
    head = report.summary
    more = f"deployment://{head.run}/report"
    lines = [
        f"# Deployment Report: {one_line(head.version, 80)} → {head.environment}",
        "",
        "## Summary",
        *_summary(head),
        "",
        "## Pre-Deployment Checklist",
        *_boxes(report.checklist),
        "",
        "## Deployment Steps",
        *_steps(report.steps, keep, more),
        "",
        "## Health Checks",
        *_health(report.health, keep, more),
        "",
        "## Rollback Information",
        *_rollback(report.rollback),
        "",
        "## Post-Deployment Actions",
        *_boxes(report.post),
        "",
        "## Issues & Notes",
        *_notes(report.notes, keep, more),
        f"- Evidence: {head.run}, journal head {report.head[:12]}, soc-deploy report {head.run} --format json",
    ]
    return "\n".join(lines) + "\n"


def _summary(head: Summary) -> Iterable[str]:
    fields: list[tuple[str, str]] = [
        ("Action", head.action),
        ("Version", one_line(head.version, 80)),
        ("Strategy", head.strategy),
        ("Status", head.status),
        ("Duration", "not over" if head.duration_s is None else words(head.duration_s)),
        ("Started", minute(head.started)),
        ("Completed", "not over" if head.completed is None else minute(head.completed)),
        ("Run", f"{head.run} (plan {head.plan_hash[:12]})" if head.plan_hash else head.run),
    ]
    if head.approval:
        fields.append(("Approval", one_line(head.approval, 200)))
    fields += [("Risk", one_line(risk, 200)) for risk in head.risks]
    return (f"**{name}**: {value}  " for name, value in fields)


def _boxes(boxes: Iterable[Box]) -> Iterable[str]:
    for box in boxes:
        if box.ticked:
            yield f"- [x] {one_line(box.title, 80)}" + (f" ({one_line(box.figure, 200)})" if box.figure else "")
        else:
            yield f"- [ ] {one_line(box.title, 80)}: {one_line(box.reason, 300)}"


def _steps(rows: Sequence[StepRow], keep: int, more: str) -> Iterable[str]:
    if not rows:
        return ["None."]
    lines = ["", "| Step | Action | Status | Duration |", "|:-----|:-------|:------:|:--------:|"]
    for row in rows[:keep]:
        seconds = "—" if row.duration_s is None else short(row.duration_s)
        lines.append(f"| {row.number} | {cell(row.action)} | {_STEP_SIGNS[row.status]} | {seconds} |")
    return [*lines, *_cut(len(rows) - keep, more)]


def _health(rows: Sequence[HealthRow], keep: int, more: str) -> Iterable[str]:
    lines = ["", "| Check | Target | Actual | Status |", "|:------|:-------|:-------|:------:|"]
    for row in rows[:keep]:
        sign = _HEALTH_SIGNS[row.status]
        lines.append(f"| {cell(row.check)} | {cell(row.target)} | {cell(row.actual)} | {sign} |")
    return [*lines, *_cut(len(rows) - keep, more)]


def _rollback(info: RollbackInfo) -> Iterable[str]:
    command = f"`{info.command}`" if info.command else f"none ({one_line(info.why_not, 200)})"
    estimate = "unknown" if info.estimate_s is None else words(info.estimate_s)
    basis = f" ({one_line(info.basis, 100)})" if info.basis and info.estimate_s is not None else ""
    return [
        f"**Previous Version**: {one_line(info.previous, 200)}  ",
        f"**Rollback Command**: {command}  ",
        f"**Estimated Rollback Time**: {estimate}{basis}  ",
        f"**Rollback Triggered**: {one_line(info.triggered, 200)}  ",
    ]


def _notes(notes: Sequence[Note], keep: int, more: str) -> Iterable[str]:
    lines = [f"- {_LEVELS[note.level]}: {one_line(note.text, 600)}" for note in notes[:keep]]
    return [*(lines or ["None."]), *_cut(len(notes) - keep, more)]


def _cut(left: int, more: str) -> list[str]:
    return [f"… {left} more: {more}"] if left > 0 else []
