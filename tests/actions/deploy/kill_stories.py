"""The runs that are killed: a strategy, how the new release behaves, what people do."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from soc_deploy_mcp.actions.deploy.lineage import Lineage
from soc_deploy_mcp.actions.deploy.readers import Gathered, History, Traffic
from soc_deploy_mcp.actions.rollback.plan import plan as plan_rollback
from soc_deploy_mcp.core.canonical import digest
from soc_deploy_mcp.core.config import Strategy
from soc_deploy_mcp.core.errors import DeployError
from soc_deploy_mcp.core.event import HealthSeen, State
from soc_deploy_mcp.core.evidence import Evidence, observed
from soc_deploy_mcp.core.ids import Epoch, Instant, RunId
from soc_deploy_mcp.core.plan import Plan
from soc_deploy_mcp.core.request import Caller, Request
from soc_deploy_mcp.engine.approvals import Approvals
from soc_deploy_mcp.engine.context import Walking
from soc_deploy_mcp.engine.runs import Run
from soc_deploy_mcp.personas.walk import Errand, walk
from tests.actions.deploy.kills import People, Reach
from tests.actions.deploy.scene import Scene, opened, settings, target
from tests.engine.builders import Node, opening, passage
from tests.engine.virtual import VirtualClock
from tests.fakes.platform import Behaviour, FakePlatform

CALLER = Caller(kind="cli", subject="uid:1000", project="/srv/shop")


@dataclass(frozen=True)
class Story:
    name: str
    build: Callable[[Path], Scene]
    ends: State
    people: People | None = None


Make = Callable[[Strategy], Story]


def _platform() -> FakePlatform:
    return FakePlatform(VirtualClock(asyncio.get_running_loop()))


# --- deploys


def _deploy(strategy: Strategy, behaviour: Behaviour | None = None, **how: Any) -> Callable[[Path], Scene]:
    def build(path: Path) -> Scene:
        return Scene(_platform(), path, strategy=strategy, new_behaviour=behaviour or Behaviour(), **how)

    return build


def good(strategy: Strategy) -> Story:
    return Story("good", _deploy(strategy), State.SUCCEEDED)


def bad(strategy: Strategy) -> Story:
    return Story("bad", _deploy(strategy, Behaviour(errors=0.05)), State.ROLLED_BACK)


def aborted(strategy: Strategy) -> Story:
    return Story("aborted", _deploy(strategy), State.ROLLED_BACK, abort_soon)


def paused(strategy: Strategy) -> Story:
    return Story("paused", _deploy(strategy), State.SUCCEEDED, pause_a_while)


def undecided(strategy: Strategy) -> Story:
    """Bad, nobody gave leave to go back by itself, nobody comes: retreat after the decision time-out, then back."""
    deploy = settings().deploy.model_copy(update={"decision_timeout": 20.0, "pause_expires": 60.0})
    soon = settings().model_copy(update={"deploy": deploy})
    build = _deploy(strategy, Behaviour(errors=0.05), auto_rollback=False, settings=soon)
    return Story("undecided", build, State.ROLLED_BACK)


def blinded(strategy: Strategy) -> Story:
    """Good, but for a while nobody can count, when everybody is on the new release already: a person says go on."""
    return Story("blinded", _deploy(strategy, auto_rollback=False), State.SUCCEEDED, go_on_unseeing)


async def abort_soon(reach: Reach) -> None:
    """As soon as users meet the new release, somebody aborts."""
    if await reach.until(lambda run: reach.met):
        await reach.say("abort")


async def pause_a_while(reach: Reach) -> None:
    if await reach.until(lambda run: reach.met):
        await reach.say("pause")
    if await reach.until(lambda run: run.state is State.PAUSED):
        await asyncio.sleep(5)
        await reach.say("resume")


async def go_on_unseeing(reach: Reach) -> None:
    world = reach.world
    if not await reach.until(lambda run: world.platform.weights == {world.new.slug: 100}):
        return
    world.see("stale")
    await reach.until(lambda run: run.state is State.PAUSED)
    world.see("")
    await reach.say("resume")


# --- a rollback by hand


@dataclass
class Rollback(Scene):
    """`old` serves and is rolled back from; `new` is what is rolled back to, `hot` or not there at all."""

    hot: bool = True

    async def prepare(self) -> None:
        await super().prepare()
        if self.hot:
            await self.platform.ensure(target(), self.new, self.new.spec.instances, Epoch(0))

    def plan(self) -> Plan:
        seen = Gathered(
            settings=self.settings,
            target=target(),
            new=self.new,
            old=self.old,
            no_change=False,
            history=History(Lineage(), {}),
            traffic=Traffic(),
            hot=self.hot,
        )
        return plan_rollback(Request(action="rollback", environment="prod", strategy=self.strategy), seen)

    def seat(self, store: Any, name: str = "local") -> Node:
        node = super().seat(store, name)

        async def straight_through(ctx: Walking) -> None:
            await ctx.pass_gate(passage("rollback/1"))

        node.runner.register("walk/1", lambda _: straight_through, replays=False)
        return node


def rollback(strategy: Strategy, *, hot: bool = False, sick: bool = False) -> Story:
    """A release that is sick itself is not replaced by the next candidate: a person is asked."""
    behaviour = Behaviour(smoke_status=500) if sick else Behaviour()

    def build(path: Path) -> Scene:
        return Rollback(_platform(), path, strategy=strategy, new_behaviour=behaviour, hot=hot)

    kind = " ".join(word for word, yes in (("hot", hot), ("sick", sick)) if yes)
    return Story(f"rollback {kind}".strip(), build, State.NEEDS_OPERATOR if sick else State.SUCCEEDED)


# --- a walk that waits for a person


@dataclass
class Asked(Scene):
    """The run waits for a yes before it begins. Everything that preflight reads is as it should be."""

    def seat(self, store: Any, name: str = "local") -> Node:
        node = super().seat(store, name)
        numbers = iter(range(1_000_000))
        self.desk = Approvals(
            node.journal, new_id=lambda: digest([str(self.platform.clock.wall()), next(numbers)])[:32]
        )
        node.runner.register("walk/1", self._walk, replays=False)
        return node

    def _walk(self, run: Run) -> Callable[[Walking], Any]:
        request = Request(action="deploy", environment="prod", version="v1.1.0", strategy=self.strategy)
        return lambda ctx: walk(ctx, Errand(request, CALLER, _Lead(self), self.desk))

    async def begin(self, node: Node) -> RunId:
        """The plan is made by the walk."""
        (asked, _) = opened(self).entries
        begun = opening().model_copy(update={"target": target(), "entries": (asked,)})
        self.run = (await node.runner.submit(begun))[0].id
        return self.run


@dataclass
class _Lead:
    scene: Asked

    async def plan(self, request: Request) -> tuple[Plan, list[Evidence]]:
        plan = self.scene.plan()
        return plan, self._evidence(plan)

    def _evidence(self, plan: Plan) -> list[Evidence]:
        name, version, at = plan.target.name, plan.new.version, self.now()
        about: dict[str, tuple[str, dict[str, Any]]] = {
            "secrets": (name, {"missing": []}),
            "artifact": (version, {"digest": plan.new.artifact.digest}),
            "observation": (name, {"ready": {str(plan.new.slug): 3}}),
            "lineage": (name, {"unfinished": ""}),
            "drift": (name, {"drift": False}),
            "metrics": (name, {"up": True}),
            "tests": (plan.new.artifact.commit or "", {"exit_code": 0, "failed": 0, "passed": 3}),
            "migrations": (version, {}),
            "rollback_target": (name, {}),
        }
        about |= dict.fromkeys(("request", "config", "capability", "plan", "capacity", "permission"), (name, {}))
        about |= dict.fromkeys(("toolchain", "identity"), ("machine", {}))
        return [
            observed(kind, subject, tool="fake", query="", figure="as it should be", at=at, data=data)
            for kind, (subject, data) in about.items()
        ]

    async def tests(self, plan: Plan) -> list[Evidence]:
        return []

    async def health(self, plan: Plan) -> HealthSeen | None:
        return None

    async def baseline(self, plan: Plan) -> str:
        return digest({str(slug): weight for slug, weight in self.scene.platform.weights.items()})

    async def free(self) -> None:
        return

    def now(self) -> Instant:
        return self.scene.platform.clock.wall()


async def approve(reach: Reach) -> None:
    """A person reads for a while and says yes: once more when whoever took it died over it."""
    world = reach.world
    assert isinstance(world, Asked)
    if not await reach.until(lambda run: run.state is State.WAITING_APPROVAL):
        return
    await asyncio.sleep(5)

    async def tell(node: Node, run: Run) -> None:
        try:
            found = await world.desk.find(run.id)
        except DeployError:  # the walk was begun anew and has not asked yet
            await asyncio.sleep(1)
            return
        await world.desk.grant(found.id, by="uid:1000", channel="terminal")

    async def done() -> bool:
        query = "select id from approvals where state in ('granted', 'consumed')"
        return await reach.store.read(lambda tx: tx.one(query)) is not None

    await reach.ask(tell, done)


def approved(strategy: Strategy) -> Story:
    def build(path: Path) -> Scene:
        return Asked(_platform(), path, strategy=strategy)

    return Story("approved", build, State.SUCCEEDED, approve)
