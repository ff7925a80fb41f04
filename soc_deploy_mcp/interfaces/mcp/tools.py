"""The tools of this release. Each turns its arguments into one line, begins or finds a run, and watches it."""

from collections.abc import Awaitable, Callable
from typing import Annotated, TypeVar

import anyio
from mcp.server import MCPServer
from mcp.types import CallToolResult, InputRequiredResult, ToolAnnotations
from pydantic import Field

from soc_deploy_mcp.core.config.settings import Environment, Strategy
from soc_deploy_mcp.core.errors import DeployError
from soc_deploy_mcp.core.event import State
from soc_deploy_mcp.core.redaction import Redactor
from soc_deploy_mcp.interfaces.daemon.orders import outlive
from soc_deploy_mcp.interfaces.doors import App, Line, RunView, Verb, Waiting
from soc_deploy_mcp.interfaces.mcp import asking
from soc_deploy_mcp.interfaces.mcp.asking import Ctx
from soc_deploy_mcp.interfaces.mcp.caller import Peer, caller, peer
from soc_deploy_mcp.interfaces.mcp.following import BUDGET_S, Beats, follow, is_open
from soc_deploy_mcp.interfaces.mcp.lines import deploy_line, rollback_line, target_of
from soc_deploy_mcp.interfaces.mcp.looks import of_releases, of_runs
from soc_deploy_mcp.interfaces.mcp.outcome import FULL_LIMIT, LIMIT, ROOM, Outcome, of_error, of_view, to_result

Answer = Annotated[CallToolResult, Outcome]
Asking = Annotated[CallToolResult, Outcome] | InputRequiredResult

T = TypeVar("T")

Instruction = Annotated[str, Field(description="such as: production --action deploy --version v2.1.0")]
Target = Annotated[str, Field(description="service or environment")]
Version = Annotated[str, Field(description="such as v2.1.0")]

_READS = ToolAnnotations(read_only_hint=True, open_world_hint=False)
_WRITES = ToolAnnotations(read_only_hint=False, destructive_hint=True, idempotent_hint=False, open_world_hint=True)


class Tools:
    """One object for all connections; who calls is said by `caller()`."""

    def __init__(self, app: App, redactor: Redactor) -> None:
        self._app, self._redactor = app, redactor

    # --- what starts a run

    async def soc_deploy(self, ctx: Ctx, instruction: Instruction) -> Asking:
        return await _told(self._run(ctx, lambda: instruction))

    async def deploy(
        self,
        ctx: Ctx,
        target: Target,
        environment: Environment | None = None,
        version: Version | None = None,
        strategy: Strategy | None = None,
        auto_rollback: bool = False,
        dry_run: bool = False,
    ) -> Asking:
        return await _told(
            self._run(ctx, lambda: deploy_line(target, environment, version, strategy, auto_rollback, dry_run))
        )

    async def rollback(
        self,
        ctx: Ctx,
        target: Target,
        environment: Environment | None = None,
        version: Version | None = None,
        dry_run: bool = False,
    ) -> Asking:
        return await _told(self._run(ctx, lambda: rollback_line(target, environment, version, dry_run)))

    # --- what looks at runs, and what steers them

    async def status(
        self, ctx: Ctx, run_id: str | None = None, wait_s: Annotated[float, Field(ge=0, le=45)] = 0
    ) -> Answer:
        return await _told(self._status(ctx, run_id, wait_s))

    async def report(self, ctx: Ctx, run_id: str, full: bool = False) -> Answer:
        return await _told(self._report(run_id, FULL_LIMIT if full else LIMIT))

    async def control(self, ctx: Ctx, run_id: str, verb: Verb, reason: str = "") -> Answer:
        return await _told(self._control(run_id, verb, reason))

    async def releases(
        self,
        ctx: Ctx,
        target: Target,
        environment: Environment | None = None,
        limit: Annotated[int, Field(ge=1, le=50)] = 10,
    ) -> Answer:
        return await _told(self._releases(target, environment, limit))

    async def _run(self, ctx: Ctx, line: Callable[[], Line]) -> CallToolResult | InputRequiredResult:
        call = _Call(self._app, ctx, self._redactor)
        await call.tell("reading the command")
        if (run := asking.run_in_state(ctx)) is not None:
            view = await self._app.view(run, caller())
        else:
            view = await outlive(self._app.begin(line(), caller()))
        undoes, view = view.undoes, await call.watch(view)
        if view.waiting is not None and view.waiting.elicit and call.can_ask():
            asked = await call.ask(view, view.waiting)
            if isinstance(asked, InputRequiredResult):
                return asked
            view = await call.watch(asked)
        shown = await self._shown(view)
        return shown.model_copy(update={"is_error": False}) if undoes and view.state is State.ROLLED_BACK else shown

    async def _status(self, ctx: Ctx, run_id: str | None, wait_s: float) -> CallToolResult:
        if run_id is None:
            return to_result(of_runs(await self._app.runs(caller()), peer().note))
        view = await self._app.view(run_id, caller())
        if wait_s and is_open(view):
            view = await _Call(self._app, ctx, self._redactor).watch(view, wait_s, until_change=True)
        return await self._shown(view)

    async def _report(self, run_id: str, limit: int) -> CallToolResult:
        return await self._shown(await self._app.view(run_id, caller()), limit)

    async def _control(self, run_id: str, verb: Verb, reason: str) -> CallToolResult:
        return await self._shown(await outlive(self._app.control(run_id, verb, caller(), reason)))

    async def _releases(self, target: str, environment: str | None, limit: int) -> CallToolResult:
        found = await self._app.releases(target_of(target, environment), caller(), limit)
        return to_result(of_releases(found, peer().note))

    async def _shown(self, view: RunView, limit: int = LIMIT) -> CallToolResult:
        report = await self._app.report(view.id, caller(), "markdown", limit - ROOM)
        return to_result(of_view(view, report, peer().note), limit)


class _Call:
    """One tool call that watches: its deadline, and its progress that only rises."""

    def __init__(self, app: App, ctx: Ctx, redactor: Redactor) -> None:
        self._app, self._ctx, self._redactor, self._beats = app, ctx, redactor, Beats()
        self._deadline = anyio.current_time() + BUDGET_S

    async def tell(self, text: str, done: int = 0, total: int = 0) -> None:
        await self._say(*self._beats.next(done, total), text)

    async def _say(self, progress: float, total: float | None, text: str) -> None:
        await self._ctx.report_progress(progress, total, self._redactor.text(text))

    def left(self) -> float:
        return max(0.0, self._deadline - anyio.current_time())

    async def watch(self, view: RunView, seconds: float = BUDGET_S, *, until_change: bool = False) -> RunView:
        seconds = min(seconds, self.left())
        return await follow(self._app, view, caller(), self._beats, self._say, seconds, until_change=until_change)

    def can_ask(self) -> bool:
        return asking.can_ask(
            self._ctx.client_capabilities,
            modern=asking.is_modern(self._ctx),
            back_channel=self._ctx.session.can_send_request,
        )

    async def ask(self, view: RunView, waiting: Waiting) -> RunView | InputRequiredResult:
        """The run after the answer; unchanged without one. The question itself where the client must call again."""
        if asking.is_modern(self._ctx):
            reply = asking.reply_in(self._ctx, view, waiting)
            if reply is None:
                return asking.question(view, waiting)
        else:
            reply = await self._asked_live(view, waiting)
        if reply.answer is None:
            return await self._app.view(view.id, caller())
        try:
            said = reply.answer
            return await outlive(self._app.answer(view.id, waiting.question_id, said.approve, said.reason, caller()))
        except DeployError as error:
            if error.code != "E_APPROVAL_USED":
                raise
            return await self._app.view(view.id, caller())  # answered before: what the run does now is the answer

    async def _asked_live(self, view: RunView, waiting: Waiting) -> asking.Reply:
        """Ask, while progress keeps the client's timer from running out and another way's yes ends the asking."""
        reply = asking.Reply(None)
        async with anyio.create_task_group() as group:

            async def ask() -> None:
                nonlocal reply
                reply = await asking.ask_live(self._ctx, self._redactor.text(waiting.question), self.left() - 1)
                group.cancel_scope.cancel()

            group.start_soon(ask)
            beat = anyio.current_time()
            while True:
                await anyio.sleep(1)
                if await self._answered_otherwise(view, waiting):
                    group.cancel_scope.cancel()
                if anyio.current_time() - beat >= 4:
                    beat = anyio.current_time()
                    await self.tell("waiting for an answer", view.done, view.total)
        return reply

    async def _answered_otherwise(self, view: RunView, waiting: Waiting) -> bool:
        try:
            now = await self._app.view(view.id, caller())
        except DeployError:
            return True  # the next look says it
        return now.waiting is None or now.waiting.question_id != waiting.question_id


async def _told(answer: Awaitable[T]) -> T | CallToolResult:
    """What a person can act on is an answer, not a crash."""
    try:
        return await answer
    except DeployError as error:
        return to_result(of_error(error))


TABLE: dict[str, tuple[ToolAnnotations, str]] = {
    "soc_deploy": (_WRITES, "One command line, verbatim: [target] --action deploy|rollback [flags]. Carries it out."),
    "deploy": (_WRITES, "Roll a version out, judged by statistics. Where a person must approve, it only waits."),
    "rollback": (_WRITES, "Back to the previous stable release, or to version. Traffic moves first."),
    "status": (_READS, "One run, or the open ones and the last five. wait_s: until the next change. Changes nothing."),
    "report": (_READS, "The report of a run; full lifts its size limit. Changes nothing."),
    "control": (_WRITES, "Steer a run: pause, resume, promote (never past a reject), abort (traffic back first)."),
    "releases": (_READS, "Lineage of a target: which release a rollback would choose, and why. Changes nothing."),
}


def register(server: MCPServer[Peer], tools: Tools) -> None:
    for name, (hints, description) in TABLE.items():
        server.add_tool(getattr(tools, name), name=name, description=description, annotations=hints)
