"""The application behind all doors: begin, watch, control, report. A request only starts or watches a run."""

from collections.abc import AsyncIterator, Sequence
from typing import Any, Literal

from soc_deploy_mcp.actions.deploy.machine import Standing, refusal, standing
from soc_deploy_mcp.actions.deploy.machine import after as after_row
from soc_deploy_mcp.core.command.grammar import parse
from soc_deploy_mcp.core.command.known import Known
from soc_deploy_mcp.core.command.render import render
from soc_deploy_mcp.core.config import Config
from soc_deploy_mcp.core.config.plain_secrets import refuse_secrets
from soc_deploy_mcp.core.errors import DeployError
from soc_deploy_mcp.core.event import PlanMade, Record, RunOpened, State, StepEnded, StepStarted, payload
from soc_deploy_mcp.core.ids import RunId
from soc_deploy_mcp.core.release import Target
from soc_deploy_mcp.core.report import markdown, project
from soc_deploy_mcp.core.request import Caller, Request, same_request
from soc_deploy_mcp.engine.approvals import Approval
from soc_deploy_mcp.engine.runner import Opening
from soc_deploy_mcp.engine.runs import Run
from soc_deploy_mcp.engine.signals import ABORT
from soc_deploy_mcp.interfaces.application import lineage_view, views
from soc_deploy_mcp.interfaces.application.parts import Parts
from soc_deploy_mcp.interfaces.application.programs import Programs
from soc_deploy_mcp.interfaces.application.said import said
from soc_deploy_mcp.interfaces.doors import Line, Progress, RunView, Verb

CARRIED = ("deploy", "rollback")
RECENT = 5


class Application:
    def __init__(self, parts: Parts, programs: Programs) -> None:
        self.parts, self.programs = parts, programs

    # --- begin

    async def begin(self, line: Line, caller: Caller) -> RunView:
        config, _ = self.parts.config(caller.project)
        request = parse(line, Known.of(config))
        target = _target(request, config, caller)
        assert request.environment is not None  # the grammar demands it for both actions
        spec = config.settings(target.service, request.environment).spec
        refuse_secrets(target.service, spec, self.parts.redactor)
        self.parts.secrets.know(spec.secrets.values())  # before the first row: a reason may quote one
        if joined := await self._undoing(request, target, caller):
            return joined
        run_id = RunId(f"run_{self.parts.new_id()}")
        opened = RunOpened(
            request=request,
            caller=caller,
            line=render(request, Known.of(config)),
            target=target,
            several=len(config.services) > 1,
        )
        run, joined_run = await self.parts.runner.submit(
            Opening(
                id=run_id,
                target=target,
                verb=request.action,
                version=request.version,
                subject=caller.subject,
                request_key=same_request(request, caller),
                program="walk/1",
                args={"request": request.to_json(), "caller": caller.to_json(), "target": target.to_json()},
                entries=(opened.entry(),),
            )
        )
        return await self._view(run, joined=joined_run)

    async def _undoing(self, request: Request, target: Target, caller: Caller) -> RunView | None:
        """A rollback to what a running deploy replaces is the abort of that deploy: hot, one router write."""
        if request.action != "rollback" or request.dry_run:
            return None
        holder = await self.parts.runs.holder(target.id)
        if holder is None or holder.verb != "deploy" or holder.state is State.ABORTING:
            return None
        records = await self.parts.journal.load(holder.id)
        plan = next((p.plan for r in reversed(records) if isinstance(p := payload(r), PlanMade)), None)
        if plan is None or plan.old is None or request.version not in (None, plan.old.version):
            return None
        why = request.reason or f"rollback asked for: {render(request)}"
        await self.parts.runner.signal(holder.id, ABORT, {"reason": why}, caller.subject)
        return (await self._view(holder, joined=True)).model_copy(update={"undoes": True})

    # --- watch

    async def view(self, run: str, caller: Caller) -> RunView:
        return await self._view(await self._mine(run, caller))

    async def runs(self, caller: Caller) -> tuple[RunView, ...]:
        open_ = [run for run in await self.parts.runs.open() if run.subject == caller.subject]
        finished = await self.parts.runs.finished(RECENT, caller.subject)
        return tuple([await self._view(run) for run in (*open_, *finished)])

    async def follow(self, run: str, caller: Caller, after: int = 0) -> AsyncIterator[Progress]:
        found = await self._mine(run, caller)
        where, done, total = Standing(State.DRAFT), 0, 0
        async for record in self.parts.journal.tail(found.id):
            where = after_row(where, record)
            shape = payload(record)
            done += isinstance(shape, StepEnded) and shape.status != "not_run"
            total = len(shape.plan.steps) if isinstance(shape, PlanMade) else total
            if record.seq <= after:
                continue
            text = self.parts.redactor.text(said(record))
            stops = record.kind == "finished" or await self._waits_now(where, found.id)
            if text or stops:
                yield Progress(
                    seq=record.seq, at=record.at, text=text, done=done, total=total, state=where.state, stops=stops
                )
            if stops:
                return

    async def _waits_now(self, where: Standing, run: RunId) -> bool:
        """A run that waited once and was approved since is not waiting: whoever follows it later goes on."""
        if where.state is not State.WAITING_APPROVAL:
            return False
        return (await self.parts.runs.get(run)).state is State.WAITING_APPROVAL

    async def live(self, run: str, caller: Caller) -> dict[str, Any]:
        found = await self._mine(run, caller)
        records = await self.parts.journal.load(found.id)
        report = project(records)
        shown: dict[str, Any] = {
            "run": (await self._view(found)).to_json(),
            "steps": [row.to_json() for row in report.steps],
            "board": self.parts.boards.get(found.id, {}),
            "since": _step_since(records),
            "now": self.parts.clock.wall(),
        }
        plan = next((p.plan for r in reversed(records) if isinstance(p := payload(r), PlanMade)), None)
        if plan is not None:
            shown["platform"] = await lineage_view.platform(self.parts, plan)
        return shown

    async def report(
        self, run: str, caller: Caller, form: Literal["markdown", "json"], limit: int | None = None
    ) -> str:
        found = await self._mine(run, caller)
        await self._whole(found.id)
        report = project(await self.parts.journal.load(found.id))
        if form == "json":
            return self.parts.redactor.text(report.model_dump_json(by_alias=True, indent=2)) + "\n"
        return self.parts.redactor.text(markdown(report, limit))

    async def journal(self, run: str, caller: Caller, as_is: bool = False) -> list[dict[str, Any]]:
        found = await self._mine(run, caller)
        if not as_is:
            await self._whole(found.id)
        records = await self.parts.journal.load(found.id)
        return [self.parts.redactor.walk(record.to_json()) for record in records]

    async def _whole(self, run: RunId) -> None:
        """What somebody changed in the journal's file is not told as if it had happened."""
        if broken := await self.parts.journal.verify(run):
            raise DeployError(
                "E_JOURNAL_BROKEN",
                f"the journal of {run} is not what was written: {broken.why}",
                f"The chain of hashes breaks at row {broken.seq}.",
                f"soc-deploy journal {run} --as-is",
            )

    # --- control

    async def control(
        self, run: str, verb: Verb, caller: Caller, reason: str = "", *, unattended: bool = False
    ) -> RunView:
        found = await self._mine(run, caller)
        records = await self.parts.journal.load(found.id)
        where = standing(list(records))
        if refused := refusal(where, verb):
            if verb == "abort":
                shown = await self._view(found)
                return shown.model_copy(update={"first_line": f"nothing to abort: {refused}"})
            raise DeployError(
                "E_RUN_OVER" if where.state.terminal else "E_VERB",
                f"{found.id} cannot {verb} now",
                refused,
                f"soc-deploy report {found.id}" if where.state.terminal else f"soc-deploy status {found.id}",
            )
        if verb == "promote" and found.environment == "prod" and caller.kind == "mcp":
            what = "promoting past the judge's evidence in prod is for a person, outside the chat"
            raise DeployError("E_VERB", what, "", f"soc-deploy promote {found.id}")
        payload_: dict[str, Any] = {"reason": reason or f"{verb} asked for"}
        if unattended:
            payload_["unattended"] = True
        if verb == "promote":
            payload_["step"] = _step(records)  # whose wait is skipped: typed twice, it must not skip the next one
        await self.parts.runner.signal(found.id, verb, payload_, caller.subject)
        return await self._view(await self.parts.runs.get(found.id))

    async def approve(self, run: str, caller: Caller, channel: Literal["terminal", "elicitation"]) -> RunView:
        asked = await self._asked(run, caller)
        await self.parts.approvals.grant(asked.id, by=caller.subject, channel=channel)
        return await self._view(await self.parts.runs.get(asked.run))

    async def reject(self, run: str, caller: Caller, reason: str) -> RunView:
        asked = await self._asked(run, caller)
        await self.parts.approvals.reject(asked.id, by=caller.subject, reason=reason)
        return await self._view(await self.parts.runs.get(asked.run))

    async def _asked(self, run: str, caller: Caller) -> Approval:
        """What waits for a yes. Where nothing does, the run itself says why: E_RUN_OVER, E_VERB."""
        try:
            return await self.parts.approvals.find(run)
        except DeployError as unknown:
            try:
                seen = await self.view(run, caller)
            except DeployError:
                raise unknown from None
        if not seen.state.terminal:
            why = f"it is {seen.state.value} now"
            raise DeployError("E_VERB", f"{seen.id} waits for no approval", why, f"soc-deploy status {seen.id}")
        how = f"{seen.state.value}: {seen.first_line}" if seen.first_line else seen.state.value
        raise DeployError("E_RUN_OVER", f"{seen.id} is over", f"it ended {how}", f"soc-deploy report {seen.id}")

    async def answer(self, run: str, question_id: str, approve: bool, reason: str, caller: Caller) -> RunView:
        found = await self._mine(run, caller)
        await self.parts.approvals.answer(question_id, approve, by=caller.subject, reason=reason)
        return await self._view(await self.parts.runs.get(found.id))

    # --- look

    async def releases(self, target: str, caller: Caller, limit: int = 10) -> dict[str, Any]:
        config, _ = self.parts.config(caller.project)
        meant = lineage_view.named(target, config, caller)
        return await lineage_view.releases(self.parts, self.programs.reading(), meant, limit)

    async def logs(self, target: str, caller: Caller, lines: int = 100) -> list[dict[str, Any]]:
        config, _ = self.parts.config(caller.project)
        meant = lineage_view.named(target, config, caller)
        found = self.parts.platform.logs(meant, lines)
        return [
            {"instance": name, "release": slug, "text": self.parts.redactor.text(text)} for name, slug, text in found
        ]

    def open_runs(self) -> int:
        return self.parts.runner.carrying

    # --- small things

    async def _mine(self, run: str, caller: Caller) -> Run:
        """A stranger's run is told like one that does not exist."""
        found = await self.parts.runs.find(run)
        if found.subject != caller.subject:
            raise DeployError("E_RUN_UNKNOWN", f"no run {run}", "no run has this id", "soc-deploy status")
        return found

    async def _view(self, run: Run, *, joined: bool = False) -> RunView:
        run = await self.parts.runs.get(run.id)
        records: Sequence[Record] = await self.parts.journal.load(run.id)
        approval = await self.parts.approvals.of_run(run.id) if run.state is State.WAITING_APPROVAL else None
        return views.view(run, records, approval, joined=joined)


def _step(records: Sequence[Record]) -> str:
    """The step that was begun last."""
    return next((p.step for r in reversed(records) if isinstance(p := payload(r), StepStarted)), "")


def _step_since(records: Sequence[Record]) -> float | None:
    """When the step that is being worked on began."""
    for record in reversed(records):
        match payload(record):
            case StepStarted():
                return record.at
            case StepEnded():
                return None
    return None


def _target(request: Request, config: Config, caller: Caller) -> Target:
    """Which service on which environment; what this version does not carry out is refused here."""
    if request.action not in CARRIED:
        raise DeployError(
            "E_ACTION_LATER",
            f"this version does not carry out --action {request.action} yet",
            "the command was understood; deploy and rollback are carried out",
            "soc-deploy production --action deploy --version v1.0.0",
        )
    if config.governance == "required":
        raise DeployError(
            "E_GOVERNANCE_REQUIRED",
            "soc-deploy.yaml wants governance, and no approver is enrolled",
            "this version cannot enrol approvers",
            "set governance: optional in soc-deploy.yaml",
        )
    if request.break_glass is not None:
        why = "no approver is enrolled, and two people would have to agree"
        raise DeployError("E_VALUE", "--break-glass needs a governed installation", why, "soc-deploy status")
    assert request.environment is not None  # the grammar demands it for both actions
    service = request.service or config.services[0]
    return Target(project=caller.project, service=service, environment=request.environment)
