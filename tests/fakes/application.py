"""The application as the composition root wires it, over the fake world: the same journal, redactor, messages, files.

Only the machine, the counting and the programs of the project are not real.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from soc_deploy_mcp import app
from soc_deploy_mcp.actions.deploy.world import World
from soc_deploy_mcp.core.config import Config
from soc_deploy_mcp.core.event import PlanMade, RunOpened
from soc_deploy_mcp.core.ids import RunId, Slug
from soc_deploy_mcp.core.metrics import MetricsSource, SourceDown
from soc_deploy_mcp.core.plan import Plan
from soc_deploy_mcp.core.redaction import Redactor
from soc_deploy_mcp.core.release import Target
from soc_deploy_mcp.core.request import Caller, Request
from soc_deploy_mcp.engine.approvals import Approvals
from soc_deploy_mcp.engine.history import History
from soc_deploy_mcp.engine.journal import Journal
from soc_deploy_mcp.engine.outbox import Outbox, Outgoing
from soc_deploy_mcp.engine.runner import Runner
from soc_deploy_mcp.engine.runs import Run
from soc_deploy_mcp.engine.sqlite import Sqlite
from soc_deploy_mcp.interfaces.application import messages
from soc_deploy_mcp.interfaces.application.application import Application
from soc_deploy_mcp.interfaces.application.parts import Parts
from soc_deploy_mcp.interfaces.application.programs import Programs
from soc_deploy_mcp.tools.secrets import Secrets
from tests.actions.deploy.scene import CONFIG, Scene
from tests.engine.builders import QUICK, opening, straight_through, until
from tests.fakes.eyes import FakeEyes
from tests.fakes.platform import FakePlatform

NOTIFY = """
notify:
  channels: {ops: {kind: webhook, url: "https://example.invalid/hook"}}
  events: {all: [ops]}
"""


class Machine(FakePlatform):
    """A fake platform with what the application asks of the local one beside the protocol."""

    said: str = ""  # what every instance has printed

    def logs(self, target: Target, lines: int = 100, of: Slug | None = None) -> list[tuple[str, Slug, str]]:
        if of is not None:
            return [(f"{of}-1", of, self.said)]  # the output of a release outlives its instances
        return [(f"{slug}-{i.port}", slug, self.said) for slug, found in self.instances.items() for i in found]

    def retrievable(self, target: Target, slug: Slug) -> bool:
        return True

    def activate(self, target: Target, slug: Slug) -> None:
        return

    async def prune(self, target: Target, keep: int, pinned: object) -> tuple[Slug, ...]:
        return ()

    def metrics(self, target: Target) -> MetricsSource:
        return _Silent()


class _Silent:
    async def query(self, *_: Any) -> Any:
        raise SourceDown("nobody counts here")


class _Programs(Programs):
    def __init__(self, parts: Parts, scene: Scene) -> None:
        super().__init__(parts)
        self.scene = scene

    def _world(self, run: Run, plan: Plan, *, several: bool) -> World:
        made, fakes = super()._world(run, plan, several=several), self.scene.world(None)  # type: ignore[arg-type]
        made.eyes, made.migrations = lambda plan: FakeEyes(self.scene.platform, plan), fakes.migrations
        return made


@dataclass
class Fake:
    """What a test holds: the application, and what went out of it."""

    scene: Scene
    project: Path
    app: Application
    store: Sqlite
    redactor: Redactor
    sent: list[Outgoing] = field(default_factory=list)

    @property
    def caller(self) -> Caller:
        return Caller(kind="cli", subject="uid:1000", project=str(self.project))

    @property
    def plan(self) -> Plan:
        target = Target(project=str(self.project), service="shop", environment="prod")
        return self.scene.plan().model_copy(update={"target": target})

    async def begin(self, reason: str | None = None) -> RunId:
        plan = self.plan.model_copy(update={"reason": reason})
        asked = RunOpened(
            request=Request(action="deploy", environment="prod", version="v1.1.0", reason=reason),
            caller=self.caller,
            line=f"/soc-deploy prod --action deploy --version v1.1.0 --reason '{reason}'",
            target=plan.target,
        )
        entries = (asked.entry(), PlanMade(plan=plan, hash=plan.hash).entry())
        begin = opening().model_copy(update={"target": plan.target, "entries": entries})
        return (await self.app.parts.runner.submit(begin))[0].id

    async def users_meet_it(self) -> None:
        """The new release has got its first share."""
        await until(lambda: self.scene.platform.weights.get(self.scene.new.slug), 3600.0)

    async def over(self, run: RunId) -> None:
        assert (await self.app.parts.runner.wait(run, 24 * 3600)).over
        await asyncio.sleep(60)

    async def rows(self) -> str:
        """Everything that the database holds."""
        tables = await self.store.read(lambda tx: tx.all("select name from sqlite_master where type='table'"))
        return repr([await self.store.read(lambda tx, t=t: tx.all(f"select * from {t['name']}")) for t in tables])

    def files(self) -> dict[str, str]:
        """Every file in the project and in the state home, but the database."""
        found = [*self.project.rglob("*"), *self.app.parts.home.rglob("*")]
        return {str(p): p.read_text() for p in found if p.is_file() and not p.name.startswith("journal.db")}


@asynccontextmanager
async def application(
    scene: Scene, secrets: dict[str, str], *, known: bool = True, service: str = ""
) -> AsyncIterator[Fake]:
    """`secrets`: the environment that references are resolved from, `known` from the beginning or like in a process
    that was just started. `service`: more settings of the service."""
    home, project, clock, redactor = scene.path.parent, scene.path.parent / "project", scene.platform.clock, Redactor()
    project.mkdir()
    config = Config.read(CONFIG.replace("    drain_s: 1\n", f"    drain_s: 1\n{service}") + NOTIFY)
    kept = Secrets(secrets, redactor)
    kept.know(f"env:{name}" for name in secrets if known)
    async with scene.store() as store:
        runs, sent = History(store), []
        outbox = Outbox(messages.follow(lambda _: config.notify), _sender(sent))
        journal = Journal(store, redact=lambda body: app._redacted(redactor, body), follow=[outbox.keep])
        runner = Runner(journal, node="local", clock=clock, times=QUICK)
        numbers = iter(range(1, 1_000_000))
        parts = Parts(
            home=home,
            journal=journal,
            runner=runner,
            runs=runs,
            approvals=Approvals(journal, new_id=lambda: f"{next(numbers):032x}"),
            platform=scene.platform,  # type: ignore[arg-type]
            secrets=kept,
            redactor=redactor,
            clock=clock,
            environ=secrets,
            new_id=lambda: f"{next(numbers):032x}",
            config=lambda _: (config, "digest"),
            watched=lambda _: nullcontext(),  # type: ignore[arg-type,return-value]
            run_tests=None,  # type: ignore[arg-type]
        )
        programs = _Programs(parts, scene)
        runner.register("walk/1", lambda _: straight_through, replays=False)
        runner.register("deploy/1", programs.carry)
        await runner.start()
        sending = asyncio.create_task(outbox.run(journal))
        try:
            yield Fake(scene, project, Application(parts, programs), store, redactor, sent)
        finally:
            sending.cancel()
            await runner.stop()


def _sender(sent: list[Outgoing]) -> Any:
    async def send(outgoing: Outgoing) -> str:
        sent.append(outgoing)
        return "200"

    return send
