"""The deployment log: one line a run, a projection of the journal; and its Markdown view, newest first."""

from collections.abc import Iterable
from typing import Literal

from soc_deploy_mcp.core.model import Noun
from soc_deploy_mcp.core.report.model import Report
from soc_deploy_mcp.core.report.text import cell
from soc_deploy_mcp.core.times import iso, minute, short

_HEAD = (
    "# Deployments\n\nNewest first. A projection of the journal, written by soc-deploy; do not edit.\n\n"
    "| Started | Environment | Service | Version | Strategy | Status | Duration | Approval | Run |\n"
    "|:--------|:------------|:--------|:--------|:---------|:------:|:--------:|:---------|:----|\n"
)


class LogLine(Noun):
    """One finished run."""

    run: str
    service: str
    environment: str
    version: str
    action: str
    strategy: str
    status: str
    state: str
    started: str
    completed: str | None
    seconds: float | None
    approval: str | None
    plan_hash: str | None
    report: str  # path relative to the project
    schema_version: Literal[1] = 1


def line(report: Report, service: str) -> LogLine:
    head = report.summary
    return LogLine(
        run=head.run,
        service=service,
        environment=head.environment,
        version=head.version,
        action=head.action,
        strategy=head.strategy,
        status=head.status,
        state=head.state.value,
        started=iso(head.started),
        completed=iso(head.completed) if head.completed else None,
        seconds=None if head.duration_s is None else round(head.duration_s, 3),
        approval=head.approval,
        plan_hash=head.plan_hash,
        report=f".soc-deploy/reports/{head.run}.md",
    )


def markdown(reports: Iterable[tuple[Report, str]]) -> str:
    """`DEPLOYMENTS.md`: reports with their service, in the order they are to stand."""
    rows = (_row(report, service) for report, service in reports)
    return _HEAD + "".join(rows)


def _row(report: Report, service: str) -> str:
    head = report.summary
    took = "—" if head.duration_s is None else short(head.duration_s)
    cells = (
        *(minute(head.started), head.environment, service, head.version, head.strategy, head.status, took),
        *(head.approval or "—", f"[{head.run[:12]}](reports/{head.run}.md)"),
    )
    return "| " + " | ".join(cell(each) for each in cells) + " |\n"
