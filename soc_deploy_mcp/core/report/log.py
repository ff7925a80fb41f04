"""The deployment log: one line a run, a projection of the journal; and its Markdown view, newest first."""

from collections.abc import Iterable
from typing import Literal

from soc_deploy_mcp.core.model import Noun
from soc_deploy_mcp.core.report.model import Report
from soc_deploy_mcp.core.report.text import cell
from soc_deploy_mcp.core.times import iso, short

_HEAD = (
    "# Deployments\n\nNewest first. A projection of the journal, written by soc-deploy; do not edit.\n\n"
    "| Started | Environment | Service | Version | Strategy | Status | Duration | Approval | Run |\n"
    "|:--------|:------------|:--------|:--------|:---------|:------:|:--------:|:---------|:----|\n"
)


class LogLine(Noun):
    """One finished run."""

    run: str
    project: str
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


def line(report: Report, project: str, service: str) -> LogLine:
    head = report.summary
    return LogLine(
        run=head.run,
        project=project,
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


def markdown(lines: Iterable[LogLine]) -> str:
    """`DEPLOYMENTS.md`: runs of one project, newest first."""
    rows = sorted(lines, key=lambda each: (each.started, each.run), reverse=True)
    return _HEAD + "".join(_row(each) for each in rows)


def _row(each: LogLine) -> str:
    took = "—" if each.seconds is None else short(each.seconds)
    started = each.started.replace("T", " ")[:16] + " UTC"
    cells = (
        *(started, each.environment, each.service, each.version, each.strategy, each.status, took),
        *(each.approval or "—", f"[{each.run[:12]}](reports/{each.run}.md)"),
    )
    return "| " + " | ".join(cell(text) for text in cells) + " |\n"
