"""A machine in virtual time: processes that die, freeze and come back, a target that refuses old epochs, a program."""

import asyncio
import itertools
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from soc_deploy_mcp.core.errors import DeployError
from soc_deploy_mcp.core.event import Finished, State
from soc_deploy_mcp.core.ids import RunId
from soc_deploy_mcp.engine.context import Aborted, Activity, Attempt, Context, Effect, Walking, Watching
from soc_deploy_mcp.engine.history import History
from soc_deploy_mcp.engine.lease import LeaseTimes
from soc_deploy_mcp.engine.sqlite import Sqlite
from tests.engine.builders import Node, moved, notice, passage
from tests.engine.virtual import VirtualClock

TIMES = LeaseTimes(ttl=3.0, renew=1.0)
NAMES = ("go", "promote")


@dataclass(frozen=True)
class Op:
    """One verb of a drawn program."""

    key: str
    verb: Literal["act", "watch", "wait", "sleep", "emit", "take"]
    seconds: float = 0.0
    fails: bool = False


class QuickSqlite(Sqlite):
    """Dies with the machine only: what is tested here is processes."""

    PRAGMAS = ("journal_mode=wal", "synchronous=off")
    LOOK_S = 0.5


class World:
    """What the effects change. Counts what was done to it, and by whom too late."""

    def __init__(self) -> None:
        self.epoch = 0
        self.state: dict[str, bool] = {}
        self.applied: Counter[str] = Counter()
        self.calls: Counter[str] = Counter()
        self.refused = 0
        self.after_record: list[str] = []
        self.recorded: Callable[[str], Awaitable[bool]]

    async def make(self, key: str, attempt: Attempt) -> None:
        """Level-triggered: said twice, it is done once. An older epoch changes nothing."""
        if attempt.epoch < self.epoch:
            self.refused += 1
            raise DeployError("E_STALE_EPOCH", "a newer owner holds the target")
        self.epoch = attempt.epoch
        self.calls[key] += 1
        if not self.state.get(key):
            self.state[key] = True
            self.applied[key] += 1
        if await self.recorded(key):
            self.after_record.append(key)


@dataclass(frozen=True)
class Fate:
    """After so many steps a process dies, or stands still for a while."""

    at_step: int
    frozen_s: float = 0.0


class Mortal:
    """The life of one process: every step it takes towards the outside may be its last, or stand still."""

    def __init__(self, loop: asyncio.AbstractEventLoop, fate: "Fate | None", died: Callable[[], None]) -> None:
        self.dead = False
        self.stopped_at: float | None = None
        self._loop = loop
        self._steps = itertools.count(1)
        self._fate = fate
        self._died = died
        self._awake = asyncio.Event()
        self._awake.set()

    async def step(self) -> None:
        if self._fate is not None and next(self._steps) == self._fate.at_step:
            if self._fate.frozen_s:
                self._thaws = self._loop.create_task(self.freeze(self._fate.frozen_s))
                await asyncio.sleep(0)
            else:
                self.die()
        while self.dead or not self._awake.is_set():
            await (asyncio.Event() if self.dead else self._awake).wait()

    def die(self) -> None:
        if not self.dead:
            self.dead = True
            self._died()

    async def freeze(self, seconds: float) -> None:
        if self._awake.is_set():
            self.stopped_at = self._loop.time()
            self._awake.clear()
            await asyncio.sleep(seconds)
            self.stopped_at = None
            self._awake.set()


class MortalStore:
    """A store in a mortal process: it may die before a transaction, or after it without knowing."""

    def __init__(self, store: Sqlite, life: Mortal) -> None:
        self._store, self._life = store, life
        self.now = store.now

    async def tx(self, work: Any) -> Any:
        return await self._stepping(self._store.tx, work)

    async def read(self, work: Any) -> Any:
        return await self._stepping(self._store.read, work)

    async def room(self) -> None:
        return None

    async def watch(self, wake: Any) -> None:
        async def live() -> None:
            await self._life.step()
            await wake()

        await self._store.watch(live)

    async def _stepping(self, how: Any, work: Any) -> Any:
        await self._life.step()
        result = await how(work)
        await self._life.step()
        return result


class LifeClock:
    """The steady clock stands while the process does: it cannot look at it."""

    def __init__(self, clock: VirtualClock, life: Mortal) -> None:
        self._clock, self._life = clock, life
        self.wall = clock.wall

    def monotonic(self) -> float:
        return self._clock.monotonic() if self._life.stopped_at is None else self._life.stopped_at


@dataclass
class Machine:
    """Two nodes on one file; whoever dies is started again after `restart_s`."""

    path: Path
    ops: tuple[Op, ...]
    fates: list[Fate]  # of the incarnations, in the order they start; those after them live
    restart_s: float
    interruptions: int = 0
    world: World = field(default_factory=World)
    nodes: dict[str, tuple[Node, Mortal]] = field(default_factory=dict)

    async def __aenter__(self) -> "Machine":
        self.loop = asyncio.get_running_loop()
        self.clock = VirtualClock(self.loop)
        self._stores: list[Sqlite] = []
        self._graves: list[Node] = []  # the tasks of the dead wait for ever; they must not be collected
        self._tasks: list[asyncio.Task[None]] = []
        self.cli = Node(await self._open(), "cli", clock=self.clock)
        self.history = History(self.cli.journal.store)
        self.world.recorded = self._recorded
        for name in ("a", "b"):
            await self.boot(name)
        return self

    async def __aexit__(self, *_: object) -> None:
        for _, life in self.nodes.values():
            life.dead = True
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for task in asyncio.all_tasks() - {asyncio.current_task()}:
            task.cancel()
        await asyncio.sleep(0)
        for store in self._stores:
            await store.close()

    async def _open(self) -> Sqlite:
        store = QuickSqlite(self.path, self.clock)
        await store.open()
        self._stores.append(store)
        return store

    async def boot(self, name: str) -> None:
        fate = self.fates.pop(0) if self.fates else None
        self.interruptions += fate is not None
        life = Mortal(self.loop, fate, lambda: self._start(self._again(name)))
        node = Node(MortalStore(await self._open(), life), name, clock=LifeClock(self.clock, life), times=TIMES)
        node.programs(self.program(life), self.walk)
        self.nodes[name] = (node, life)
        self._graves.append(node)
        self._start(node.runner.start())

    async def _again(self, name: str) -> None:
        self.interruptions += 1
        await asyncio.sleep(self.restart_s)
        await self.boot(name)

    def _start(self, work: Any) -> None:
        self._tasks.append(self.loop.create_task(work))

    async def _recorded(self, key: str) -> bool:
        query = "select 1 from journal where kind='observed' and key=?"
        return await self.cli.journal.store.read(lambda tx: tx.one(query, key)) is not None

    async def walk(self, ctx: Walking) -> None:
        await ctx.emit(notice("evidence"), "evidence")
        try:
            await ctx.pass_gate(passage())
        except Aborted:
            await ctx.emit(Finished(state=State.FAILED_NO_CHANGE), "end")

    def program(self, life: Mortal) -> Callable[[Context], Awaitable[None]]:
        async def program(ctx: Context) -> None:
            begun: list[Op] = []
            try:
                for op in self.ops:
                    if op.verb == "act":
                        begun.append(op)
                    await self._do(ctx, op, life)
            except (Aborted, DeployError):
                await ctx.way_back()
                await ctx.emit(moved(State.ABORTING), "back")
                for op in reversed(begun):
                    await ctx.act(f"back/{op.key}", self._effect(f"back/{op.key}", 0.2, False, life))
                await ctx.emit(Finished(state=State.ROLLED_BACK), "end")
            else:
                await ctx.emit(Finished(state=State.SUCCEEDED), "end")

        return program

    async def _do(self, ctx: Context, op: Op, life: Mortal) -> None:
        match op.verb:
            case "act":
                await ctx.act(op.key, self._effect(op.key, op.seconds, op.fails, life))
            case "watch":
                await ctx.watch(op.key, self._activity(op, life))
            case "wait":
                await ctx.wait(op.key, NAMES, op.seconds)
            case "sleep":
                await ctx.sleep(op.key, op.seconds)
            case "emit":
                await ctx.emit(notice(op.key), op.key)
            case "take":
                await ctx.take(op.key, *NAMES)

    def _effect(self, key: str, seconds: float, fails: bool, life: Mortal) -> Effect:
        async def run(attempt: Attempt) -> str:
            await asyncio.sleep(seconds / 2)
            await life.step()
            await self.world.make(key, attempt)
            await life.step()
            await asyncio.sleep(seconds / 2)
            if fails:
                raise DeployError("E_SMOKE_FAILED", "a bad release")
            return key

        return Effect(key, run, 600.0)

    def _activity(self, op: Op, life: Mortal) -> Activity:
        async def run(watching: Watching) -> str:
            ticks = watching.checkpoint or 0
            while ticks < op.seconds:
                await life.step()
                if await watching.take("promote"):
                    await watching.save(op.seconds)
                    break
                await watching.pause(1.0)
                ticks += 1
                await watching.save(ticks)
            return "ACCEPT"

        return Activity(op.key, run)

    async def over(self, run: RunId, within: float = 4 * 3600.0) -> State:
        end = self.loop.time() + within
        while not (row := await self.history.get(run)).over:
            assert self.loop.time() < end, f"lost: {row.state}, owner {row.owner}"
            await asyncio.sleep(1.0)
        return row.state
