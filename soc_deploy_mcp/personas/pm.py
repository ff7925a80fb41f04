"""pm-agent: owns time and people. Receipts of messages, the checks behind the last boxes, the files people read."""

import asyncio
import re
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from soc_deploy_mcp.actions.rollback.incident import incident
from soc_deploy_mcp.actions.rollback.incident_text import markdown
from soc_deploy_mcp.core.canonical import canonical
from soc_deploy_mcp.core.config.settings import Notify
from soc_deploy_mcp.core.errors import DeployError
from soc_deploy_mcp.core.event import LineageChanged, Notified, Record, State, WayBackSeen, payload
from soc_deploy_mcp.core.evidence import Check, CheckState, Evidence, observed, passed
from soc_deploy_mcp.core.ids import Instant, Slug
from soc_deploy_mcp.core.metrics import ArmLabels, BadQuery, MetricsSource, SourceDown
from soc_deploy_mcp.core.plan import Plan
from soc_deploy_mcp.core.release import Release, Target
from soc_deploy_mcp.core.report import runbook
from soc_deploy_mcp.core.report.text import one_line
from soc_deploy_mcp.tools.metrics import QUERIES

RECEIPT_S = 5.0
ERROR_LINE = re.compile(r"\b(ERROR|CRITICAL|FATAL|Traceback|panic:|Unhandled)\b")
LOG_LINES, OUTPUT_LINES = 2000, 100


@dataclass
class Desk:
    """What pm-agent works with. Nothing here reaches the target."""

    notify: Notify
    several: bool
    journal: Callable[[str], Awaitable[Sequence[Record]]]
    metrics: Callable[[Target], MetricsSource]
    labels: Callable[[Slug], ArmLabels]
    logs: Callable[[Target, Slug, int], list[tuple[str, str]]]  # (instance, end of its output); redacted
    read_text: Callable[[str], str]  # a file of the project; "" when it is not there
    write_text: Callable[[str, str], None]  # path relative to the project, text
    runbook_path: str
    now: Callable[[], Instant]


class PmAgent:
    """`actions.deploy.world.Aftercare`."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk

    # --- messages

    async def receipts(self, run: str, event: str, plan: Plan) -> Sequence[Check]:
        """The box for a message is ticked by what the receiver answered, not by an attempt."""
        seen = await self._settled(run, event)
        checks = [self._team(event, seen)] if event != "started" else []
        return [self._oncall(seen), *checks] if event == "started" else checks

    async def _settled(self, run: str, event: str) -> list[tuple[Record, Notified]]:
        """The last word on each channel that was told of the event, waiting a little for it."""
        for _ in range(int(RECEIPT_S / 0.1)):
            seen = await self._notified(run, event)
            if all(told.status != "queued" for _, told in seen):
                return seen
            await asyncio.sleep(0.1)
        return await self._notified(run, event)

    async def _notified(self, run: str, event: str) -> list[tuple[Record, Notified]]:
        last: dict[str, tuple[Record, Notified]] = {}
        for record in await self.desk.journal(run):
            told = payload(record) if record.kind == "notify" else None
            if isinstance(told, Notified) and told.event == event:
                last[told.channel] = (record, told)
        return list(last.values())

    def _oncall(self, seen: list[tuple[Record, Notified]]) -> Check:
        title, channel = "On-call engineer notified", self.desk.notify.oncall
        if channel is None:
            return _open("n.oncall", title, "no channel configured")
        return self._told("n.oncall", title, [each for each in seen if each[1].channel == channel])

    def _team(self, event: str, seen: list[tuple[Record, Notified]]) -> Check:
        if not self.desk.notify.channels:
            return _open("post.notified", "Team notified", "no channel configured")
        if not seen:
            return _open("post.notified", "Team notified", f"no channel hears of {event}")
        labels = ", ".join(told.label or told.channel for _, told in seen)
        return self._told("post.notified", f"Team notified in {labels}", seen)

    def _told(self, id_: str, title: str, seen: list[tuple[Record, Notified]]) -> Check:
        waiting = [told for _, told in seen if told.status != "sent"]
        if not seen or waiting:
            states = ", ".join(f"{told.channel} {told.status} {told.receipt}".strip() for told in waiting)
            return _open(id_, title, states or "not sent")
        return passed(
            id_, title, [_receipt(record, told) for record, told in seen], ", ".join(t.receipt for _, t in seen)
        )

    # --- the last boxes

    async def checks(self, plan: Plan, records: Sequence[Record]) -> tuple[Check, ...]:
        serving = _serving(plan, records)
        return (
            await self._monitoring(plan, serving),
            self._error_log(plan, serving),
            self._runbook(plan, serving, records),
            _open(
                "post.review", "Post-deploy review scheduled", "not scheduled: no channel for reviews in this version"
            ),
        )

    async def _monitoring(self, plan: Plan, serving: Release | None) -> Check:
        """Does every figure that people look at have an answer now?"""
        title = "Monitoring dashboards verified"
        if serving is None:
            return _open("post.monitoring", title, "nothing serves, so nothing is measured")
        source, slug = self.desk.metrics(plan.target), serving.slug
        labels, queries = self.desk.labels(slug), QUERIES["envoy"]
        panels = {
            "requests": queries.total(labels),
            "latency": queries.latency_buckets(labels),
            "cpu": f'soc_instance_cpu_ratio{{release="{slug}"}}',
            "memory": f'soc_instance_memory_ratio{{release="{slug}"}}',
            "restarts": f'soc_instance_restarts_total{{release="{slug}"}}',
        }
        silent = [name for name, query in panels.items() if not await self._answers(source, query)]
        figure = f"embedded: {len(panels) - len(silent)} of {len(panels)} queries answer"
        seen = self._seen("panels", plan.target.name, "metric source", "; ".join(panels.values()), figure)
        if silent:
            state = CheckState.PARTIAL if len(silent) < len(panels) else CheckState.FAILED
            reason = f"no data: {', '.join(silent)}"
            return Check(
                id="post.monitoring", title=title, state=state, figure=f"{figure}; {reason}", reason=reason,
                evidence=(seen.id,), required=False,
            )  # fmt: skip
        return passed("post.monitoring", title, seen, figure)

    async def _answers(self, source: MetricsSource, query: str) -> bool:
        try:
            return bool(await source.query(query, self.desk.now()))
        except (SourceDown, BadQuery):
            return False

    def _error_log(self, plan: Plan, serving: Release | None) -> Check:
        """Ticked for a release that serves and wrote something; of one that failed, silence is no good sign."""
        title = "Error logs checked"
        texts = [text for _, text in self.desk.logs(plan.target, plan.new.slug, LOG_LINES)]
        if not texts:
            return _open("post.logs", title, f"no log of {plan.new.version} is there")
        lines = [line for text in texts for line in text.splitlines()]
        errors = [line for line in lines if ERROR_LINE.search(line)]
        if not lines:
            return _open("post.logs", title, f"{plan.new.version} wrote nothing")
        figure = (
            f"{_counted(len(errors), 'error line')} in the last {_counted(len(lines), 'line')} of {plan.new.version}"
        )
        seen = self._seen("error_log", plan.new.version, "instance output", ERROR_LINE.pattern, figure)
        if errors:
            reason = f"{figure}, the first: {one_line(errors[0], 80)} (untrusted)"
            return Check(
                id="post.logs", title=title, state=CheckState.FAILED, reason=reason, evidence=(seen.id,), required=False
            )
        if serving is None or serving.slug != plan.new.slug:
            return _open("post.logs", title, f"{figure}, which does not serve: soc-deploy logs {plan.target.name}")
        return passed("post.logs", title, seen, figure)

    def _runbook(self, plan: Plan, serving: Release | None, records: Sequence[Record]) -> Check:
        title = "Runbooks updated"
        path = self.desk.runbook_path.replace("{service}", plan.target.service)
        way = next((p for r in reversed(records) if isinstance(p := payload(r), WayBackSeen)), None)
        if serving is None:
            return _open("post.runbook", title, "nothing changed for it: nothing serves")
        if serving.slug != plan.new.slug:
            return _open("post.runbook", title, "nothing changed for it: the release before serves again")
        ours = runbook.block(
            plan, way.back if way else None, records[0].run, self.desk.now(), several=self.desk.several
        )
        text = runbook.spliced(self.desk.read_text(path), ours, plan.target.environment)
        if text is None:
            return _open("post.runbook", title, f"{path}: a marker of ours is missing or doubled; not touched")
        try:
            self.desk.write_text(path, text)
        except DeployError as error:
            return _open("post.runbook", title, one_line(f"{error.what} {error.why}", 200))
        seen = self._seen("runbook", path, "file", "write between the markers", path)
        return passed("post.runbook", title, seen, path)

    async def output(self, target: Target, release: Release) -> Sequence[tuple[str, str]]:
        return self.desk.logs(target, release.slug, OUTPUT_LINES)

    async def incident(self, plan: Plan, records: Sequence[Record], state: State) -> str:
        made = incident(plan, records, state)
        path = f".soc-deploy/incidents/{made.run}"
        self.desk.write_text(f"{path}.json", canonical(made.to_json()).decode() + "\n")
        self.desk.write_text(f"{path}.md", markdown(made))
        return f"{path}.md"

    def _seen(self, kind: str, subject: str, tool: str, query: str, figure: str) -> Evidence:
        return observed(kind, subject, tool=tool, query=query, figure=figure, at=self.desk.now())


def _serving(plan: Plan, records: Sequence[Record]) -> Release | None:
    """Who has users' requests at the end of a run."""
    changes = [p for r in records if isinstance(p := payload(r), LineageChanged) and p.change == "active"]
    return changes[-1].release if changes else plan.old


def _open(id_: str, title: str, reason: str) -> Check:
    return Check(id=id_, title=title, state=CheckState.NOT_RUN, reason=reason, required=False)


def _counted(n: int, noun: str) -> str:
    return f"{n} {noun}" + ("" if n == 1 else "s")


def _receipt(record: Record, told: Notified) -> Evidence:
    return observed(
        "receipt", told.channel, tool="outbox", query=told.event, figure=told.receipt or told.status, at=record.at,
        data={"hash": record.hash},
    )  # fmt: skip
