"""The walk of a request to the gate: devops-agent reading a fake world, the real engine, approvals and journal, on
virtual time. Behind the gate stands a program that only says that it was reached."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from soc_deploy_mcp.core.config import Environment, Settings
from soc_deploy_mcp.core.errors import DeployError
from soc_deploy_mcp.core.event import (
    CheckMade,
    ErrorSeen,
    EvidenceSeen,
    Finished,
    PlanMade,
    Record,
    RunOpened,
    State,
    payload,
)
from soc_deploy_mcp.core.evidence import Check, Evidence, observed
from soc_deploy_mcp.core.ids import Epoch, RunId
from soc_deploy_mcp.core.plan import Plan
from soc_deploy_mcp.core.release import Release, Target
from soc_deploy_mcp.core.report import Report, markdown, project
from soc_deploy_mcp.core.request import Caller, Request
from soc_deploy_mcp.engine import runs as rows
from soc_deploy_mcp.engine.approvals import Approvals
from soc_deploy_mcp.engine.context import Walking
from soc_deploy_mcp.engine.history import History
from soc_deploy_mcp.engine.lease import LeaseTimes
from soc_deploy_mcp.engine.sqlite import Sqlite
from soc_deploy_mcp.interfaces.application import views
from soc_deploy_mcp.personas.devops import Devops
from soc_deploy_mcp.personas.walk import Errand, walk
from tests.actions.deploy import scene
from tests.engine.builders import Node, opening
from tests.engine.virtual import VirtualClock, run_virtual
from tests.fakes.platform import FakePlatform
from tests.fakes.readers import FINISHED, FakeReaders, release

T = TypeVar("T")
WHO = Caller(kind="cli", subject="uid:1000", project="/srv/shop")
Spoil = Callable[[Sequence[Evidence]], Sequence[Evidence]]


def deploy(version: str = "v1.1.0", environment: Environment = "prod", **how: Any) -> Request:
    return Request(action="deploy", environment=environment, version=version, strategy="canary", **how)


def rollback(environment: Environment = "prod", **how: Any) -> Request:
    return Request(action="rollback", environment=environment, **how)


@dataclass(frozen=True)
class Ended:
    """A run that is over, or waits."""

    state: State
    exit: int
    report: Report
    records: Sequence[Record]

    def check(self, id_: str) -> Check | None:
        """The last word about a check."""
        found = [p.check for r in self.records if isinstance(p := payload(r), CheckMade) and p.check.id == id_]
        return found[-1] if found else None

    def all(self, shape: type[T]) -> list[T]:
        return [p for r in self.records if isinstance(p := payload(r), shape)]

    @property
    def plan(self) -> Plan:
        return self.all(PlanMade)[-1].plan

    @property
    def error(self) -> ErrorSeen:
        (found,) = self.all(ErrorSeen)
        return found

    @property
    def last(self) -> str:
        return self.all(Finished)[-1].first_line

    @property
    def evidence(self) -> set[str]:
        return {seen.evidence.id for seen in self.all(EvidenceSeen)}

    @property
    def boxes(self) -> dict[str, str]:
        """Checklist as printed, by its first words: `{"All tests passing": "[x] All tests passing (…)"}`."""
        lines = markdown(self.report).splitlines()
        titles = ("All tests", "Security scan", "Database migrations", "Rollback plan", "On-call")
        return {title: next(line[2:] for line in lines if line[6:].startswith(title)) for title in titles}


@dataclass
class Stage:
    """What the world is like is set before `walked`; `spoil` changes what devops-agent hands to the checks."""

    platform: FakePlatform
    store: Sqlite
    node: Node
    settings: Settings
    environment: Environment
    readers: FakeReaders = field(init=False)
    spoil: Spoil = lambda evidence: evidence
    tests_ran: int = 0
    tests_take_s: float = 1.0
    tests_data: dict[str, Any] = field(default_factory=lambda: {"exit_code": 0, "passed": 4, "failed": 0})
    tests_error: DeployError | None = None
    reached: list[RunId] = field(default_factory=list)  # runs that came through the gate
    held: asyncio.Event | None = None  # what is behind the gate goes on only when this is set
    before_plan: Callable[[int], Awaitable[None]] | None = None  # is told how often it was planned before
    planned: int = 0

    def __post_init__(self) -> None:
        self.readers = FakeReaders(self.platform)
        numbers = itertools.count(1)
        self.approvals = Approvals(self.node.journal, new_id=lambda: f"{next(numbers):032x}")
        self.node.runner.register("walk/1", self._walk, replays=False)
        for program in ("deploy/1", "rollback/1"):
            self.node.runner.register(program, lambda _: self._behind_the_gate)

    @property
    def target(self) -> Target:
        return Target(project="/srv/shop", service="shop", environment=self.environment)

    @property
    def clock(self) -> VirtualClock:
        clock: VirtualClock = self.platform.clock  # type: ignore[assignment]
        return clock

    async def served(self, version: str) -> Release:
        """It has everybody, and was stable."""
        made = release(version, self.settings.spec)
        self.readers.happened(made, *FINISHED)
        await self.platform.ensure(self.target, made, made.spec.instances, Epoch(0))
        await self.platform.shift(self.target, {made.slug: 100}, Epoch(0))
        return made

    # --- the walk

    def lead(self, run: RunId) -> "Lead":
        async def holder() -> DeployError | None:
            held = await History(self.store).holder(self.target.id)
            return rows.locked(held, self.clock.wall()) if held and held.id != run else None

        return Lead(self.readers, self.settings, self.target, "f" * 64, holder, self._tests, self)

    async def _tests(self, plan: Plan) -> Sequence[Evidence]:
        self.tests_ran += 1
        await asyncio.sleep(self.tests_take_s)
        if self.tests_error is not None:
            raise self.tests_error
        figures = f"{self.tests_data['passed']} passed, {self.tests_data['failed']} failed"
        commit = plan.new.artifact.commit or ""
        at = self.clock.wall()
        return [observed("tests", commit, tool="make", query="test", figure=figures, at=at, data=self.tests_data)]

    def _walk(self, run: rows.Run) -> Any:
        async def program(ctx: Walking) -> None:
            request, caller = Request.from_json(run.args["request"]), Caller.from_json(run.args["caller"])
            await walk(ctx, Errand(request, caller, self.lead(run.id), self.approvals))

        return program

    async def _behind_the_gate(self, ctx: Any) -> None:
        self.reached.append(ctx.run)
        if self.held is not None:
            await self.held.wait()
        await ctx.emit(Finished(state=State.SUCCEEDED, first_line="carried out"), "finish")

    async def begin(self, request: Request, caller: Caller = WHO) -> RunId:
        said = RunOpened(request=request, caller=caller, line="/soc-deploy …", target=self.target)
        args = {"request": request.to_json(), "caller": caller.to_json()}
        asks = opening().model_copy(
            update={"target": self.target, "verb": request.action, "args": args, "entries": (said.entry(),)}
        )
        return (await self.node.runner.submit(asks))[0].id

    async def end(self, run: RunId) -> Ended:
        row = await self.node.runner.wait(run, 48 * 3600)
        assert row.over, f"still {row.state}"
        return await self.seen(run)

    async def seen(self, run: RunId) -> Ended:
        records = await self.node.journal.load(run)
        row = await History(self.store).get(run)
        approval = await self.approvals.of_run(run)
        return Ended(row.state, views.view(row, records, approval).exit, project(records), records)

    async def walked(self, request: Request, caller: Caller = WHO) -> Ended:
        return await self.end(await self.begin(request, caller))


class Lead(Devops):
    def __init__(self, *parts: Any) -> None:
        *usual, self.stage = parts
        super().__init__(*usual)

    async def plan(self, request: Request) -> tuple[Plan, Sequence[Evidence]]:
        if self.stage.before_plan is not None:
            await self.stage.before_plan(self.stage.planned)
        self.stage.planned += 1
        plan, evidence = await super().plan(request)
        return plan, self.stage.spoil(evidence)


class Quick(Sqlite):
    """Days pass here: with a look every few seconds and nothing to lose."""

    LOOK_S = 20.0
    PRAGMAS = (*Sqlite.PRAGMAS, "synchronous=off")


@asynccontextmanager
async def _stage(folder: Path, environment: Environment, extra: str) -> AsyncIterator[Stage]:
    clock = VirtualClock(asyncio.get_running_loop())
    store = Quick(folder / "journal.db", clock=clock)
    await store.open()
    node = Node(store, clock=clock, times=LeaseTimes(ttl=600.0, renew=200.0))
    made = Stage(FakePlatform(clock), store, node, scene.settings(extra, environment), environment)
    await node.runner.start()
    try:
        yield made
    finally:
        await node.runner.stop()
        await store.close()


def on_stage(
    folder: Path, story: Callable[[Stage], Awaitable[T]], environment: Environment = "prod", extra: str = ""
) -> T:
    """Play a story on virtual time."""

    async def main() -> T:
        async with _stage(folder, environment, extra) as made:
            return await story(made)

    return run_virtual(main())


def without(*kinds: str) -> Spoil:
    """Nobody saw evidence of these kinds."""
    return lambda evidence: [each for each in evidence if each.kind not in kinds]


def instead(kind: str, **data: Any) -> Spoil:
    """Evidence of a kind says something else."""

    def spoil(evidence: Sequence[Evidence]) -> Sequence[Evidence]:
        return [e.model_copy(update={"data": {**e.data, **data}}) if e.kind == kind else e for e in evidence]

    return spoil
