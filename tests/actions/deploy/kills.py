"""A run whose owner dies at chosen transactions, and people who speak to it meanwhile. On virtual time."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from soc_deploy_mcp.core.errors import DeployError
from soc_deploy_mcp.core.event import Record, State
from soc_deploy_mcp.core.ids import RunId, Slug
from soc_deploy_mcp.engine.history import History
from soc_deploy_mcp.engine.journal import Broken, Journal
from soc_deploy_mcp.engine.runs import Run
from tests.actions.deploy.scene import Scene
from tests.engine.builders import Node
from tests.engine.simulation import QuickSqlite
from tests.fakes.killing import KillingStore, killed

SHORT_S, LONG_S = 2.0, 40.0  # for so long nobody carries the run: within the dead-man timer's lease, and beyond it
LIMIT_S = 6 * 3600.0

Phase = Literal["before", "after"]
Write = tuple[str, Slug | None, dict[Slug, int]]


@dataclass(frozen=True)
class Kill:
    """The `at`-th transaction of an owner (from 1) is its last: before it is kept, or after."""

    at: int
    phase: Phase


class Reach:
    """A person's way to whoever carries the run now. What is said is said once, however many owners die meanwhile."""

    def __init__(self, world: Scene, store: QuickSqlite) -> None:
        self.world, self.store = world, store
        self._node: Node | None = None
        self._news = asyncio.Event()

    def meet(self, node: Node | None) -> None:
        self._node = node
        self._news.set()
        self._news = asyncio.Event()

    async def node(self) -> Node:
        while self._node is None:
            await self._news.wait()
        return self._node

    async def run(self) -> Run | None:
        """The run as it is written down. None: nobody has heard of it."""
        row = await self.store.read(lambda tx: tx.one("select id from runs"))
        return await History(self.store).get(RunId(row["id"])) if row else None

    async def until(self, true: Callable[[Run], bool]) -> bool:
        """Poll; False when the run was over before."""
        while True:
            run = await self.run()
            if run is not None and true(run):
                return True
            if run is not None and run.over:
                return False
            await asyncio.sleep(0.05)

    async def say(self, name: str) -> None:
        async def tell(node: Node, run: Run) -> None:
            await node.runner.signal(run.id, name, {"reason": "changed my mind"}, "uid:1000")

        await self.ask(tell, lambda: self._said(name))

    async def ask(self, tell: Callable[[Node, Run], Awaitable[None]], done: Callable[[], Awaitable[bool]]) -> None:
        """Once more as long as it is not done and the run is not over: the owner may die before, while, or after."""
        while not await done():
            node, run = await self.node(), await self.run()
            if run is None or run.over:
                return
            telling, lost = asyncio.ensure_future(tell(node, run)), asyncio.ensure_future(self._news.wait())
            await asyncio.wait({telling, lost}, return_when=asyncio.FIRST_COMPLETED)
            lost.cancel()
            if telling.done():
                with suppress(DeployError):  # over meanwhile
                    telling.result()
            telling.cancel()

    async def _said(self, name: str) -> bool:
        return await self.store.read(lambda tx: tx.one("select id from signals where name=?", name)) is not None

    @property
    def met(self) -> bool:
        """Do users meet the new release, or nobody because of it?"""
        return bool(self.world.platform.weights.get(self.world.new.slug)) or self.world.platform.mode == "hold"


People = Callable[[Reach], Awaitable[None]]


@dataclass
class Played:
    """How it ended. `counts`: transactions of each owner."""

    state: State
    world: Scene
    counts: list[int] = field(default_factory=list)
    records: list[Record] = field(default_factory=list)
    broken: Broken | None = None

    @property
    def writes(self) -> list[Write]:
        """What was written to the target, without what was only written again."""
        made: list[Write] = []
        for _, verb, slug, weights in self.world.platform.history:
            if not made or made[-1] != (verb, slug, weights):
                made.append((verb, slug, weights))
        return made

    @property
    def left(self) -> dict[Slug, int]:
        return {slug: len(found) for slug, found in self.world.platform.instances.items() if found}


async def play(
    world: Scene, people: People | None = None, kills: Sequence[Kill] = (), gap_s: float = SHORT_S
) -> Played:
    """One owner after the other, each but the last killed; `gap_s` between them."""
    await world.prepare()
    store = QuickSqlite(world.path, clock=world.platform.clock)
    await store.open()
    try:
        reach = Reach(world, store)
        speaking = asyncio.create_task(people(reach)) if people else None  # type: ignore[arg-type]
        counts: list[int] = []
        for kill in (*kills, None):
            mortal = KillingStore(store, kill.at, kill.phase) if kill else KillingStore(store)
            state = await _life(world, mortal, reach)
            counts.append(mortal.count)
            if state is not None:
                break
            await asyncio.sleep(gap_s)
        assert state is not None
        if speaking:
            speaking.cancel()
        run, journal = await reach.run(), Journal(store)
        assert run is not None
        return Played(state, world, counts, await journal.load(run.id), await journal.verify(run.id))
    finally:
        await store.close()


async def _life(world: Scene, store: KillingStore, reach: Reach) -> State | None:
    """From the start of an owner to the end of the run, or to its own."""
    node = world.seat(store)

    async def carry() -> State:
        await node.runner.start()
        reach.meet(node)
        known = await reach.run()
        state = await world.end(node, known.id if known else await world.begin(node), LIMIT_S)
        await node.runner.stop()
        return state

    living, dead = asyncio.create_task(carry()), asyncio.create_task(store.dead.wait())
    await asyncio.wait({living, dead}, return_when=asyncio.FIRST_COMPLETED)
    reach.meet(None)
    dead.cancel()
    if store.dead.is_set():
        living.cancel()
        await killed(node)
        return None
    return living.result()


def check(played: Played, whole: Played) -> None:
    """Nobody could tell that there were kills: not users, not the journal, not whoever looks at the machine later."""
    assert played.state is whole.state
    assert played.world.platform.weights == whole.world.platform.weights
    assert played.left == whole.left
    assert played.world.platform.refused == []
    _check_users(played.world)
    _check_journal(played)


def _check_users(world: Scene) -> None:
    """I1 and I5 over all that was written: users are always sent to somebody, and never to what was given up."""
    platform, given_up = world.platform, False
    for _, verb, slug, weights in platform.history:
        assert not weights or sum(weights.values()) == 100
        given_up |= verb == "remove" and slug == world.new.slug
        assert not (given_up and weights.get(world.new.slug)), "a release that was removed got requests again"
    assert platform.lost == 0 or world.strategy == "recreate"


def _check_journal(played: Played) -> None:
    assert played.broken is None
    kinds = Counter(r.kind for r in played.records)
    assert kinds["finished"] == 1
    assert _twice((r.epoch, r.key) for r in played.records if r.kind == "observed") == []
    lives = [(r.payload["change"], r.payload["release"]["version"]) for r in played.records if r.kind == "lineage"]
    assert _twice(life for life in lives if life[0] in ("registered", "stable", "retired", "quarantined")) == []


def _twice(seen: Iterable[Any]) -> list[Any]:
    return [each for each, count in Counter(seen).items() if count > 1]


def fresh(path: Path, name: object) -> Path:
    """A folder for one run's journal."""
    folder = path / str(name)
    folder.mkdir()
    return folder / "journal.db"
