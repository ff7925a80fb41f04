"""An application behind the doors whose runs do what a script says. Held to the same Protocol as the real one."""

import asyncio
import json
import os
import time
from collections.abc import AsyncIterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from soc_deploy_mcp.core.canonical import digest
from soc_deploy_mcp.core.command.grammar import parse
from soc_deploy_mcp.core.command.known import Known
from soc_deploy_mcp.core.command.render import render
from soc_deploy_mcp.core.errors import DeployError
from soc_deploy_mcp.core.event import State
from soc_deploy_mcp.core.ids import Instant, PlanHash, RunId
from soc_deploy_mcp.core.request import Caller, Request, same_request
from soc_deploy_mcp.interfaces.doors import App, Line, Progress, RunView, Verb, Waiting

KNOWN = Known(services=("shop",))


@dataclass
class Script:
    """What the next runs do."""

    steps: int = 3
    pace: float = 0.0  # seconds a step
    waits: bool = False  # for an approval
    elicit: bool = True
    ends: str = "SUCCEEDED"
    note: str = ""  # stands in the report


@dataclass
class FakeRun:
    id: str
    line: str
    key: str
    request: dict[str, Any]
    subject: str
    client: str
    script: Script
    state: str = "PREFLIGHT"
    done: int = 0
    question: str = ""
    first_line: str = ""
    aborted: bool = False
    effects: int = 0  # how often it went past the gate
    resumed: int = 0
    created: float = 0.0
    events: list[dict[str, Any]] = field(default_factory=list)


class FakeApp:
    def __init__(self, script: Script | None = None, store: Path | None = None) -> None:
        self.script, self._store = script or Script(), store
        self.fakes: dict[str, FakeRun] = {}
        self.used: set[str] = set()  # questions that were answered
        self.calls: list[tuple[str, Caller]] = []
        self.faults: dict[str, Exception] = {}  # by method
        self._news = asyncio.Condition()
        self._tasks: set[asyncio.Task[None]] = set()
        self._asked = 0
        self._load()

    # --- the Protocol

    async def begin(self, line: Line, caller: Caller) -> RunView:
        self._fault("begin", caller)
        request = parse(line, KNOWN)
        key = same_request(request, caller)
        for run in self.fakes.values():
            if run.key == key and not State(run.state).terminal:
                return self._view(run).model_copy(update={"joined": True})
        run = FakeRun(
            id=f"run_{os.urandom(16).hex()}",
            line=render(request, KNOWN),
            key=key,
            request=request.to_json(),
            subject=caller.subject,
            client=caller.client,
            script=self.script,
            created=time.time(),
        )
        self.fakes[run.id] = run
        await self._tell(run, "preflight")
        self._carry(run)
        return self._view(run)

    async def view(self, run: str, caller: Caller) -> RunView:
        self._fault("view", caller)
        return self._view(self._find(run, caller))

    async def runs(self, caller: Caller) -> tuple[RunView, ...]:
        self._fault("runs", caller)
        mine = [self._view(run) for run in self.fakes.values() if run.subject == caller.subject]
        over = [view for view in mine if view.state.terminal]
        return (*(view for view in mine if not view.state.terminal), *over[-5:])

    async def follow(self, run: str, caller: Caller, after: int = 0) -> AsyncIterator[Progress]:
        self._fault("follow", caller)
        found = self._find(run, caller)
        while True:
            for row in found.events[after:]:
                after = row["seq"]
                event = Progress.from_json(row)
                yield event
                if event.stops:
                    return
            async with self._news:
                await self._news.wait_for(lambda: len(found.events) > after)  # noqa: B023

    async def live(self, run: str, caller: Caller) -> dict[str, Any]:
        found = self._find(run, caller)
        return {"state": found.state, "done": found.done}

    async def report(
        self, run: str, caller: Caller, form: Literal["markdown", "json"], limit: int | None = None
    ) -> str:
        self._fault("report", caller)
        found = self._find(run, caller)
        if form == "json":
            return json.dumps({"run": found.id, "state": found.state})
        rows = "".join(f"| step {number} | ok |\n" for number in range(1, found.done + 1))
        text = f"# Deployment Report\n\n{found.line}\n\n| step | status |\n|---|---|\n{rows}\n{found.script.note}"
        return text if limit is None else text.encode()[:limit].decode(errors="ignore")

    async def journal(self, run: str, caller: Caller, as_is: bool = False) -> list[dict[str, Any]]:
        found = self._find(run, caller)
        plan = {"steps": found.script.steps, "note": found.script.note}
        made = {"seq": 1, "kind": "plan", "payload": {"plan": plan, "hash": self._hash(found)}}
        return [made, *({"kind": "progress", **row} for row in found.events)]

    async def control(
        self, run: str, verb: Verb, caller: Caller, reason: str = "", *, unattended: bool = False
    ) -> RunView:
        self._fault("control", caller)
        found = self._find(run, caller)
        if State(found.state).terminal:
            return self._view(found).model_copy(update={"first_line": f"nothing to {verb}"})
        if verb == "abort":
            found.aborted = True
            if found.question:
                found.question = ""
                await self._end(found, "FAILED_NO_CHANGE")
        return self._view(found)

    async def approve(self, run: str, caller: Caller, channel: Literal["terminal", "elicitation"]) -> RunView:
        found = self._find(run, caller)
        if not found.question:
            raise DeployError("E_APPROVAL_UNKNOWN", "Nothing waits.")
        return await self._decide(found, True)

    async def reject(self, run: str, caller: Caller, reason: str) -> RunView:
        return await self._decide(self._find(run, caller), False)

    async def answer(self, run: str, question_id: str, approve: bool, reason: str, caller: Caller) -> RunView:
        self._fault("answer", caller)
        found = self._find(run, caller)
        if question_id in self.used:
            raise DeployError("E_APPROVAL_USED", "The question was answered before.")
        if question_id != found.question:
            raise DeployError("E_APPROVAL_UNKNOWN", "Nothing waits for that answer.")
        return await self._decide(found, approve)

    async def releases(self, target: str, caller: Caller, limit: int = 10) -> dict[str, Any]:
        self._fault("releases", caller)
        return {"markdown": f"| {target} | v1.0.0 | stable |", "releases": [{"version": "v1.0.0"}][:limit]}

    async def logs(self, target: str, caller: Caller, lines: int = 100) -> list[dict[str, Any]]:
        return [{"instance": f"{target}-1", "release": "v1.0.0", "text": "ready"}]

    def open_runs(self) -> int:
        waiting = State.WAITING_APPROVAL
        return sum(not State(run.state).terminal and run.state != waiting for run in self.fakes.values())

    # --- how runs go

    async def close(self) -> None:
        """Stop carrying; what is open resumes when the next app loads the store."""
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(set(self._tasks))

    def _carry(self, run: FakeRun) -> None:
        task = asyncio.get_running_loop().create_task(self._go(run))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _go(self, run: FakeRun) -> None:
        if run.script.waits and run.state == "PREFLIGHT":
            self._asked += 1
            run.state, run.question = "WAITING_APPROVAL", f"q_{run.id[4:12]}_{self._asked}"
            await self._tell(run, "waits for approval", stops=True)
            return
        if run.request["dry_run"]:
            await self._end(run, "DRY_RUN")
            return
        run.effects += run.done == 0
        run.state = "RUNNING"
        while run.done < run.script.steps and not run.aborted:
            await asyncio.sleep(run.script.pace)
            run.done += 1
            await self._tell(run, f"step {run.done} {run.script.note}".strip())
        await self._end(run, "ROLLED_BACK" if run.aborted else run.script.ends)

    async def _decide(self, run: FakeRun, approve: bool) -> RunView:
        self.used.add(run.question)
        run.question = ""
        if approve:
            run.state = "QUEUED"
            await self._tell(run, "approved")
            self._carry(run)
        else:
            await self._end(run, "FAILED_NO_CHANGE")
        return self._view(run)

    async def _end(self, run: FakeRun, state: str) -> None:
        run.state = state
        await self._tell(run, state.lower(), stops=True)

    async def _tell(self, run: FakeRun, text: str, *, stops: bool = False) -> None:
        event = Progress(
            seq=len(run.events) + 1,
            at=Instant(time.time()),
            text=text,
            done=run.done,
            total=run.script.steps,
            state=State(run.state),
            stops=stops,
        )
        run.events.append(event.to_json())
        self._save()
        async with self._news:
            self._news.notify_all()

    # --- small

    def _fault(self, method: str, caller: Caller) -> None:
        self.calls.append((method, caller))
        if method in self.faults:
            raise self.faults[method]

    def _find(self, run: str, caller: Caller) -> FakeRun:
        found = [fake for fake in self.fakes.values() if fake.id.startswith(run) and fake.subject == caller.subject]
        if len(found) != 1:
            raise DeployError("E_RUN_UNKNOWN", f"No run {run[:12]}.", "", "soc-deploy status")
        return found[0]

    def _hash(self, run: FakeRun) -> PlanHash:
        return PlanHash(digest(run.request))

    def _view(self, run: FakeRun) -> RunView:
        request = Request.from_json(run.request)
        waiting = None
        if run.question:
            waiting = Waiting(
                question_id=run.question,
                question=f"Carry out {run.line}? run {run.id}, plan {self._hash(run)[:12]} {run.script.note}",
                command=f"soc-deploy approve {run.id}",
                elicit=run.script.elicit,
                expires_at=Instant(run.created + 3600),
            )
        return RunView(
            id=RunId(run.id),
            state=State(run.state),
            line=run.line,
            target=f"{request.service or 'shop'}/{request.environment}",
            action=request.action,
            version=request.version,
            plan_hash=self._hash(run),
            created_at=Instant(run.created),
            step=run.events[-1]["text"] if run.events else "",
            done=run.done,
            total=run.script.steps,
            waiting=waiting,
            first_line=run.first_line,
            next=("soc-deploy rollback --environment prod",) if State(run.state).terminal else (),
        )

    def _save(self) -> None:
        if self._store is not None:
            draft = self._store.with_suffix(".draft")
            draft.write_text(json.dumps([asdict(run) for run in self.fakes.values()]))
            draft.replace(self._store)

    def _load(self) -> None:
        if self._store is None or not self._store.exists():
            return
        for row in json.loads(self._store.read_text()):
            run = FakeRun(**{**row, "script": Script(**row["script"])})
            self.fakes[run.id] = run
            if not State(run.state).terminal and run.state != "WAITING_APPROVAL":
                run.resumed += 1
                self._carry(run)


def held_to_the_protocol(app: FakeApp) -> App:
    """mypy and this function keep the fake honest."""
    return app
