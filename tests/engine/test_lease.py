"""Leases and clocks, in virtual time."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from soc_deploy_mcp.core.event import Finished, State
from soc_deploy_mcp.engine.context import Aborted, Attempt, Context
from soc_deploy_mcp.engine.lease import LeaseTimes
from soc_deploy_mcp.engine.sqlite import Sqlite
from tests.engine.builders import Node, effect, started
from tests.engine.virtual import VirtualClock, run_virtual

DEFAULT = LeaseTimes()


class Hanging:
    """A store that does not answer while `on`: a disk that hangs, a database that is gone."""

    def __init__(self, store: Sqlite) -> None:
        self.store, self.on = store, False

    def __getattr__(self, name: str) -> Any:
        return getattr(self.store, name)

    async def tx(self, work: Any) -> Any:
        if self.on:
            await asyncio.Event().wait()
        return await self.store.tx(work)


def in_virtual(path: Path, story: Callable[[Hanging, VirtualClock], Awaitable[None]]) -> None:
    async def main() -> None:
        clock = VirtualClock(asyncio.get_running_loop())
        store = Sqlite(path, clock)
        await store.open()
        try:
            await story(Hanging(store), clock)
        finally:
            await store.close()

    run_virtual(main())


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal.db"


def test_the_lease_is_fifteen_seconds_and_a_node_stops_itself_at_twelve(path: Path) -> None:
    """A node that cannot renew stops before anybody else may take its runs, also inside an effect."""
    stopped: list[float] = []

    async def story(store: Hanging, clock: VirtualClock) -> None:
        async def forever(_: Attempt) -> None:
            try:
                await asyncio.sleep(1e6)
            finally:
                stopped.append(clock.monotonic())

        async def steps(ctx: Context) -> None:
            await ctx.act("ensure", effect(forever, timeout_s=1e6))

        node = Node(store, clock=clock, times=DEFAULT).carries(steps)
        await node.runner.start()
        await node.begin()
        await asyncio.sleep(21)  # renewed at 0, 5, 10, 15, 20
        store.on = True
        await asyncio.sleep(10.5)
        assert stopped == []
        await asyncio.sleep(30)
        assert stopped == [pytest.approx(20 + 12, abs=0.1)]
        store.on = False

    in_virtual(path, story)


def test_a_run_that_another_node_took_is_let_go_of_at_the_next_beat(path: Path) -> None:
    """The calendar jumped, so that our lease looked over to others; our own steady clock says that it is not."""
    stopped: list[float] = []

    async def story(store: Hanging, clock: VirtualClock) -> None:
        async def until_taken(attempt: Attempt) -> None:
            try:
                await asyncio.sleep(1e6 if attempt.first else 0)
            finally:
                stopped.append(clock.monotonic())

        async def steps(ctx: Context) -> None:
            await ctx.act("ensure", effect(until_taken, timeout_s=1e6))

        async with started(Node(store, "one", clock=clock, times=DEFAULT).carries(steps)) as first:
            run = await first.begin()
            await asyncio.sleep(2)
            async with started(Node(store, "two", clock=clock, times=DEFAULT).carries(steps)) as second:
                await asyncio.sleep(4)  # beats: one at 0, 5, 10; two at 2, 7, 12
                clock.turn(3600)
                assert await second.finish(run) == State.SUCCEEDED
                await asyncio.sleep(20)
        assert stopped == [pytest.approx(7, abs=0.1), pytest.approx(10, abs=0.1)]

    in_virtual(path, story)


@pytest.mark.parametrize("turned", [0.0, -3600.0])
def test_another_node_takes_over_when_the_lease_ran_out_and_not_before(path: Path, turned: float) -> None:
    """A lease that was written before the calendar went back does not protect a dead node for an hour."""

    async def story(store: Hanging, clock: VirtualClock) -> None:
        async def steps(ctx: Context) -> None:
            await ctx.wait("hold", ("go",), 1e6)

        dead = Node(store, "one", clock=clock, times=DEFAULT).carries(steps)
        await dead.runner.start()
        run = await dead.begin()
        await asyncio.sleep(1)
        store.on = True
        async with started(Node(store.store, "two", clock=clock, times=DEFAULT).carries(steps)) as heir:
            began = clock.monotonic()
            await asyncio.sleep(13.5)
            assert heir.runner.carrying == 0
            clock.turn(turned)
            await asyncio.sleep(began + 18 - clock.monotonic())  # the lease and three seconds
            assert heir.runner.carrying == 1
            await heir.runner.signal(run, "go")
            assert await heir.finish(run) == State.SUCCEEDED

    in_virtual(path, story)


@pytest.mark.parametrize("turned", [-3600.0, 3600.0])
def test_a_calendar_that_is_turned_moves_no_wait_and_costs_no_run(path: Path, turned: float) -> None:
    took: dict[str, float] = {}

    async def story(store: Hanging, clock: VirtualClock) -> None:
        async def steps(ctx: Context) -> None:
            began = clock.monotonic()
            await ctx.sleep("sleep", 40)
            took["sleep"] = clock.monotonic() - began
            began = clock.monotonic()
            await ctx.wait("wait", ("go",), 40)
            took["wait"] = clock.monotonic() - began

        async with started(Node(store, clock=clock, times=DEFAULT).carries(steps)) as node:
            run = await node.begin()
            for _ in range(2):
                await asyncio.sleep(20)
                clock.turn(turned)
                await asyncio.sleep(20)
            assert await node.finish(run, timeout=7200) == State.SUCCEEDED
            assert [r.payload["node"] for r in await node.journal.load(run) if r.kind == "lease"] == ["local"] * 2
        assert took == {"sleep": pytest.approx(40, abs=0.1), "wait": pytest.approx(40, abs=0.1)}

    in_virtual(path, story)


def test_on_the_way_back_the_earlier_of_the_clocks_wins(path: Path) -> None:
    took: list[float] = []

    async def story(store: Hanging, clock: VirtualClock) -> None:
        async def program(ctx: Context) -> None:
            await ctx.way_back()
            for key in ("ahead", "back"):
                began = clock.monotonic()
                await ctx.sleep(key, 60)
                took.append(clock.monotonic() - began)
            await ctx.emit(Finished(state=State.ROLLED_BACK), "end")

        async with started(Node(store, clock=clock, times=DEFAULT).programs(program)) as node:
            run = await node.begin()
            await asyncio.sleep(10)
            clock.turn(3600)
            await asyncio.sleep(10)
            clock.turn(-3600)
            assert await node.finish(run, timeout=7200) == State.ROLLED_BACK
        assert 10 <= took[0] <= 11.5
        assert took[1] == pytest.approx(60, abs=0.1)

    in_virtual(path, story)


@pytest.mark.parametrize(("down_s", "total"), [(10, 40), (100, 110)])
def test_a_restart_does_not_move_a_deadline(path: Path, down_s: float, total: float) -> None:
    async def story(store: Hanging, clock: VirtualClock) -> None:
        async def steps(ctx: Context) -> None:
            await ctx.sleep("bake", 40)

        began = clock.monotonic()
        async with started(Node(store, clock=clock, times=DEFAULT).carries(steps)) as node:
            run = await node.begin()
            await asyncio.sleep(10)
        await asyncio.sleep(down_s)
        async with started(Node(store, clock=clock, times=DEFAULT).carries(steps)) as node:
            assert await node.finish(run, timeout=7200) == State.SUCCEEDED
        assert clock.monotonic() - began == pytest.approx(total, abs=0.5)

    in_virtual(path, story)


def test_two_hundred_waiting_runs_ask_the_store_for_nothing_but_the_beat(path: Path) -> None:
    asked: list[str] = []

    async def story(store: Hanging, clock: VirtualClock) -> None:
        async def steps(ctx: Context) -> None:
            try:
                await ctx.wait("approval", ("approved",), 1e6)
            except Aborted:
                await ctx.way_back()

        class Counting(Hanging):
            async def tx(self, work: Any) -> Any:
                asked.append("tx")
                return await self.store.tx(work)

            async def read(self, work: Any) -> Any:
                asked.append("read")
                return await self.store.read(work)

        async with started(Node(Counting(store.store), clock=clock, times=DEFAULT).carries(steps)) as node:
            for n in range(200):
                await node.begin(service=f"s{n}")
            await asyncio.sleep(60)
            del asked[:]
            await asyncio.sleep(100)
            assert node.runner.carrying == 200
            assert len(asked) <= 21

    in_virtual(path, story)
