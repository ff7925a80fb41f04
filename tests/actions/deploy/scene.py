"""One rollout in the fake world, carried by the real engine on virtual time."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from soc_deploy_mcp.actions.deploy.program import carry_out
from soc_deploy_mcp.actions.deploy.strategies import PlanContext, steps
from soc_deploy_mcp.actions.deploy.world import Ran, World
from soc_deploy_mcp.core.canonical import digest
from soc_deploy_mcp.core.config import Config, ServiceSpec, Settings, Strategy
from soc_deploy_mcp.core.config.service import Migration
from soc_deploy_mcp.core.event import Record, State
from soc_deploy_mcp.core.evidence import Check
from soc_deploy_mcp.core.ids import Epoch, RunId
from soc_deploy_mcp.core.plan import Plan, WayBack
from soc_deploy_mcp.core.release import Artifact, Release, Target
from soc_deploy_mcp.core.report import Report, project
from soc_deploy_mcp.engine.sqlite import Sqlite
from tests.engine.builders import Node, opening
from tests.fakes.eyes import FakeEyes
from tests.fakes.platform import Behaviour, FakePlatform

CONFIG = """
services:
  shop:
    run: [serve, "--port", "{port}"]
    instances: 3
    drain_s: 1
    health: {start_timeout_s: 10}
    resources: {memory_mb: 256}
deploy:
  verify_window: 10s
  rollback_window: 20s
  bake: 20s
  decision_timeout: 120s
  pause_expires: 1h
  canary: {steps: [10, 50, 100], min: 5s, max: 300s}
  rolling: {min_ready_s: 2, pause_after_first: false}
health_checks:
  error_rate: {target: "<0.5%"}
judge: {synthetic: auto, synthetic_rate: 50}
"""


def settings(extra: str = "", environment: str = "prod") -> Settings:
    return Config.read(CONFIG + extra).settings("shop", environment)  # type: ignore[arg-type]


def release(version: str, spec: ServiceSpec) -> Release:
    artifact = Artifact(kind="git", source="/srv/shop", commit="c" * 40, digest=digest(version), provenance=version)
    return Release(version=version, artifact=artifact, spec=spec)


def target() -> Target:
    return Target(project="/srv/shop", service="shop", environment="prod")


@dataclass
class _Migrations:
    codes: dict[str, int]

    async def run(self, target: Target, release: Release, migration: Migration) -> Ran:
        return Ran(self.codes.get(migration.id, 0), 0.1, "done", "sum")


@dataclass
class Scene:
    """Build, then `await scene.play()`. `old` serves before; `new` comes."""

    platform: FakePlatform
    path: Path
    strategy: Strategy = "canary"
    auto_rollback: bool = True
    first: bool = False
    settings: Settings = field(default_factory=settings)
    new_behaviour: Behaviour = field(default_factory=Behaviour)
    old_behaviour: Behaviour = field(default_factory=Behaviour)
    migrations: tuple[Migration, ...] = ()
    migration_codes: dict[str, int] = field(default_factory=dict)
    eyes: FakeEyes | None = None
    said: list[str] = field(default_factory=list)
    blind: str = ""
    run: RunId | None = None
    board: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        spec = self.settings.spec.model_copy(update={"migrations": self.migrations})
        self.old = release("v1.0.0", self.settings.spec)
        self.new = release("v1.1.0", spec)
        self.platform.behaviours = {"v1.0.0": self.old_behaviour, "v1.1.0": self.new_behaviour}

    async def prepare(self) -> None:
        """The old release serves everybody for a while."""
        if self.first:
            return
        await self.platform.ensure(target(), self.old, self.old.spec.instances, Epoch(0))
        await self.platform.shift(target(), {self.old.slug: 100}, Epoch(0))
        await asyncio.sleep(60)

    def plan(self) -> Plan:
        old = None if self.first else self.old
        ctx = PlanContext(new=self.new, old=old, settings=self.settings, migrations=self.migrations)
        return Plan(
            action="deploy",
            target=target(),
            strategy=self.strategy,
            new=self.new,
            old=old,
            steps=steps(self.strategy, ctx),
            way_back=WayBack(release=old, why="serving"),
            settings=self.settings,
            auto_rollback=self.auto_rollback,
        )

    def world(self, node: Node) -> World:
        def eyes(plan: Plan) -> FakeEyes:
            self.eyes = FakeEyes(self.platform, plan)
            self.eyes.blind = self.blind
            return self.eyes

        return World(
            platform=self.platform,
            eyes=eyes,
            migrations=_Migrations(self.migration_codes),
            aftercare=self,
            journal=lambda run: node.journal.load(RunId(run)),
            way_back=self._way_back,
            clock=self.platform.clock,
            run_dir=self.path.parent / "run",
            board=self.board,
        )

    def see(self, blind: str) -> None:
        """From here on nothing can be counted, and why; "" for sight again. Whoever carries the run next too."""
        self.blind = blind
        if self.eyes:
            self.eyes.blind = blind

    async def _way_back(self, plan: Plan, state: State) -> dict[str, Any]:
        current = plan.new.version if state is State.SUCCEEDED else plan.old.version if plan.old else None
        return {"current": current, "back": None, "why": "nothing before it", "estimate_s": None, "basis": ""}

    # Aftercare

    async def receipts(self, run: str, event: str, plan: Plan) -> Sequence[Check]:
        self.said.append(event)
        return ()

    async def checks(self, plan: Plan, records: Sequence[Record]) -> tuple[Check, ...]:
        return ()

    async def output(self, target: Target, release: Release) -> Sequence[tuple[str, str]]:
        return [(f"{release.slug}-1", f"{release.version} listens\n\n{release.version} gives up: {'why ' * 200}")]

    async def incident(self, plan: Plan, records: Sequence[Record], state: State) -> str:
        return ".soc-deploy/incidents/run.md"

    @asynccontextmanager
    async def store(self) -> AsyncIterator[Sqlite]:
        store = Sqlite(self.path, clock=self.platform.clock)
        await store.open()
        try:
            yield store
        finally:
            await store.close()

    def seat(self, store: Any, name: str = "local") -> Node:
        """A node that knows this scene's programs; it carries nothing before its runner is started."""
        node = Node(store, name, clock=self.platform.clock)
        plan = self.plan()
        node.runner.register(f"{plan.action}/1", lambda _: lambda ctx: carry_out(ctx, plan, self.world(node)))
        return node

    @asynccontextmanager
    async def node(self, store: Any, name: str = "local") -> AsyncIterator[Node]:
        """A node that carries this scene's rollout."""
        node = self.seat(store, name)
        await node.runner.start()
        try:
            yield node
        finally:
            await node.runner.stop()

    async def play(self, node: Node, limit_s: float = 6 * 3600) -> State:
        """From the start of the run to its end."""
        run = await self.begin(node)
        return await self.end(node, run, limit_s)

    async def begin(self, node: Node) -> RunId:
        self.run, _ = (await node.runner.submit(opened(self)))[0].id, None
        return self.run

    async def end(self, node: Node, run: RunId, limit_s: float = 6 * 3600) -> State:
        row = await node.runner.wait(run, limit_s)
        assert row.over, f"still {row.state} after {limit_s} s"
        return row.state

    async def report(self, node: Node) -> Report:
        assert self.run is not None
        return project(await node.journal.load(self.run))


def opened(scene: Scene) -> Any:
    from soc_deploy_mcp.core.event import PlanMade, RunOpened
    from soc_deploy_mcp.core.request import Caller, Request

    begin = opening()
    asked = RunOpened(
        request=Request(action="deploy", environment="prod", version="v1.1.0", strategy=scene.strategy),
        caller=Caller(kind="cli", subject="uid:0", project="/srv/shop"),
        line="/soc-deploy prod --action deploy --version v1.1.0",
        target=target(),
    )
    plan = scene.plan()
    return begin.model_copy(
        update={"target": target(), "entries": (asked.entry(), PlanMade(plan=plan, hash=plan.hash).entry())}
    )


Then = Callable[[Scene, Node], Awaitable[None]]
