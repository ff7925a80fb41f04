"""Small builders: a store, a node, a run to begin."""

import asyncio
import inspect
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from soc_deploy_mcp.core.event import Entry, Finished, Moved, Notice, State
from soc_deploy_mcp.core.ids import PlanHash, RunId
from soc_deploy_mcp.core.release import Target
from soc_deploy_mcp.engine.context import Attempt, Context, Effect, Passage, Walk, Walking
from soc_deploy_mcp.engine.history import History
from soc_deploy_mcp.engine.journal import Journal
from soc_deploy_mcp.engine.lease import LeaseTimes
from soc_deploy_mcp.engine.runner import Opening, Runner
from soc_deploy_mcp.engine.sqlite import Sqlite

PLAN = PlanHash("a" * 64)
BASELINE = "b" * 64
QUICK = LeaseTimes(ttl=3.0, renew=0.5)


def run_id() -> RunId:
    return RunId("run_" + secrets.token_hex(16))


def target(service: str = "shop", environment: str = "prod") -> Target:
    return Target(project="/srv/shop", service=service, environment=environment)


def opening(program: str = "walk/1", *, service: str = "shop", key: str | None = None, args: Any = None) -> Opening:
    return Opening(
        id=run_id(),
        target=target(service),
        verb="deploy",
        version="v1.2.0",
        subject="uid:1000",
        request_key=key or secrets.token_hex(8),
        program=program,
        args=args,
        entries=(Entry(kind="run", payload={"line": "prod --action deploy"}),),
    )


def notice(text: str) -> Notice:
    return Notice(level="note", text=text)


def moved(state: State) -> Moved:
    return Moved(state=state)


def effect(run: Callable[[Attempt], Awaitable[Any]], what: Any = "it", timeout_s: float = 60.0) -> Effect:
    return Effect(what, run, timeout_s)


def passage(program: str = "deploy/1", approval: str | None = None, args: Any = None) -> Passage:
    return Passage(program=program, args=args, plan_hash=PLAN, baseline=BASELINE, approval=approval)


async def straight_through(ctx: Walking) -> None:
    """A walk that finds nothing to ask."""
    await ctx.pass_gate(passage())


def ending(state: State, steps: Callable[[Context], Awaitable[None]]) -> Walk:
    """A program that does its steps and says how it ended."""

    async def program(ctx: Walking) -> None:
        await steps(ctx)
        await ctx.emit(Finished(state=state), "end")

    return program


@asynccontextmanager
async def opened(path: Path) -> AsyncIterator[Sqlite]:
    store = Sqlite(path)
    await store.open()
    try:
        yield store
    finally:
        await store.close()


class Node:
    """A store, its journal and a runner with `walk/1` and `deploy/1`."""

    def __init__(self, store: Any, name: str = "local", *, clock: Any = None, times: LeaseTimes = QUICK) -> None:
        self.journal = Journal(store)
        self.runner = Runner(self.journal, node=name, clock=clock, times=times)
        self.runner.register("walk/1", lambda _: straight_through, replays=False)

    def carries(self, steps: Callable[[Context], Awaitable[None]], state: State = State.SUCCEEDED) -> "Node":
        self.runner.register("deploy/1", lambda _: ending(state, steps))
        return self

    def programs(self, program: Walk, walk: Walk | None = None) -> "Node":
        self.runner.register("deploy/1", lambda _: program)
        if walk is not None:
            self.runner.register("walk/1", lambda _: walk, replays=False)
        return self

    async def begin(self, **how: Any) -> RunId:
        run, _ = await self.runner.submit(opening(**how))
        return run.id

    async def reaches(self, run: RunId, state: State) -> None:
        async def there() -> bool:
            return (await History(self.journal.store).get(run)).state == state

        await until(there)

    async def finish(self, run: RunId, timeout: float = 30.0) -> State:
        """Its state when it is over; fails when it is not over in time."""
        row = await self.runner.wait(run, timeout)
        assert row.over, f"{run} is still {row.state}"
        return row.state

    async def kinds(self, run: RunId, *kinds: str) -> list[tuple[str, str]]:
        """(kind, key) of the rows of these kinds, in order."""
        return [(r.kind, r.key) for r in await self.journal.load(run) if not kinds or r.kind in kinds]


@asynccontextmanager
async def started(node: Node) -> AsyncIterator[Node]:
    await node.runner.start()
    try:
        yield node
    finally:
        await node.runner.stop()


async def until(true: Callable[[], Any], timeout: float = 20.0) -> None:
    """Poll with a generous deadline; what is asked may be awaitable."""
    async with asyncio.timeout(timeout):
        while True:
            answer = true()
            if await answer if inspect.isawaitable(answer) else answer:
                return
            await asyncio.sleep(0.005)
