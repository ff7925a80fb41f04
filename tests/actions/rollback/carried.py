"""A rollback carried out in the fake world by the real engine, and the incident report of it."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from soc_deploy_mcp.actions.deploy import lineage as lin
from soc_deploy_mcp.actions.deploy.program import carry_out
from soc_deploy_mcp.actions.deploy.readers import Gathered, History, Traffic
from soc_deploy_mcp.actions.rollback.incident import Incident, incident
from soc_deploy_mcp.actions.rollback.plan import plan as plan_rollback
from soc_deploy_mcp.core.config import Strategy
from soc_deploy_mcp.core.event import PlanMade, Record, RunOpened, State, StepStarted, payload
from soc_deploy_mcp.core.ids import Epoch, RunId
from soc_deploy_mcp.core.plan import Plan
from soc_deploy_mcp.core.report import Report
from soc_deploy_mcp.core.request import Caller
from soc_deploy_mcp.engine.signals import ABORT
from tests.actions.deploy.scene import Scene, target
from tests.actions.rollback.past import asked
from tests.engine.builders import Node, opening
from tests.engine.virtual import VirtualClock, run_virtual
from tests.fakes.platform import FakePlatform
from tests.fakes.readers import FINISHED, FakeReaders


@dataclass
class Back(Scene):
    """v1.1.0 (`new`) serves, v1.0.0 (`old`) ran before it: a rollback to v1.0.0."""

    typed: Strategy | None = None
    hot: bool = False
    reason: str | None = None
    incidents: list[Incident] = field(default_factory=list)

    async def prepare(self) -> None:
        for each in (self.new, *([self.old] if self.hot else [])):
            await self.platform.ensure(target(), each, each.spec.instances, Epoch(0))
        await self.platform.shift(target(), {self.new.slug: 100}, Epoch(0))
        await asyncio.sleep(60)

    def plan(self) -> Plan:
        readers = FakeReaders(self.platform)
        for each in (self.old, self.new):
            readers.happened(each, *FINISHED)
        seen = Gathered(
            settings=self.settings,
            target=target(),
            new=self.old,
            old=self.new,
            no_change=False,
            history=History(lin.fold(readers.rows), {}),
            traffic=Traffic(),
            hot=self.hot,
        )
        return plan_rollback(asked(strategy=self.typed, reason=self.reason), seen)

    def seat(self, store: Any, name: str = "local") -> Node:
        node = super().seat(store, name)
        plan = self.plan()
        node.runner.register("deploy/1", lambda _: lambda ctx: carry_out(ctx, plan, self.world(node)))
        return node

    async def begin(self, node: Node) -> RunId:
        plan = self.plan()
        said = RunOpened(
            request=asked(strategy=self.typed, reason=self.reason),
            caller=Caller(kind="cli", subject="uid:0", project="/srv/shop"),
            line="/soc-deploy rollback --environment prod",
            target=target(),
        )
        entries = (said.entry(), PlanMade(plan=plan, hash=plan.hash).entry())
        asks = opening().model_copy(update={"target": target(), "entries": entries, "verb": "rollback"})
        self.run = (await node.runner.submit(asks))[0].id
        return self.run

    async def incident(self, plan: Plan, records: Sequence[Record], state: State) -> str:
        self.incidents.append(incident(plan, records, state))
        return ".soc-deploy/incidents/run.md"


@dataclass(frozen=True)
class Played:
    scene: Back
    state: State
    report: Report
    records: Sequence[Record]

    @property
    def incident(self) -> Incident:
        return self.scene.incidents[-1]


def play(folder: Path, **how: Any) -> Played:
    async def main() -> Played:
        clock = VirtualClock(asyncio.get_running_loop())
        scene = Back(FakePlatform(clock), folder / "journal.db", **how)
        await scene.prepare()
        async with scene.store() as store, scene.node(store) as node:
            state = await scene.play(node)
            assert scene.run is not None
            return Played(scene, state, await scene.report(node), await node.journal.load(scene.run))

    return run_virtual(main())


def aborted(folder: Path, at_row: str, **how: Any) -> Played:
    """The same, and somebody aborts it while it works on a row."""

    async def main() -> Played:
        clock = VirtualClock(asyncio.get_running_loop())
        scene = Back(FakePlatform(clock), folder / "journal.db", **how)
        await scene.prepare()
        async with scene.store() as store, scene.node(store) as node:
            run = await scene.begin(node)
            async for record in node.journal.tail(run):
                said = payload(record)
                if isinstance(said, StepStarted) and said.row == at_row:
                    await node.runner.signal(run, ABORT, {"reason": "no, leave it"}, "uid:0")
                    break
            return Played(scene, await scene.end(node, run), await scene.report(node), await node.journal.load(run))

    return run_virtual(main())
