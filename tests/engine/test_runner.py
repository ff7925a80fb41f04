"""Runs from the first word to the last: joining, the gate, the lock, taking up, letting go."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from soc_deploy_mcp.core.errors import DeployError
from soc_deploy_mcp.core.event import Finished, Moved, Payload, State
from soc_deploy_mcp.engine.context import Aborted, Activity, Context, Walking, Watching
from soc_deploy_mcp.engine.history import History
from soc_deploy_mcp.engine.journal import Journal
from soc_deploy_mcp.engine.lease import LeaseTimes
from soc_deploy_mcp.engine.runner import Runner
from tests.engine.builders import Node, ending, moved, notice, opened, opening, passage, started, until


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal.db"


async def holds_on(ctx: Context) -> None:
    await ctx.wait("hold", ("go",), 3600)


async def test_an_equal_open_request_joins_the_run_and_a_later_one_starts_its_own(path: Path) -> None:
    async with opened(path) as store, started(Node(store).carries(holds_on)) as node:
        first, joined_first = await node.runner.submit(opening(key="same"))
        second, joined_second = await node.runner.submit(opening(key="same"))
        assert (joined_first, joined_second, first.id) == (False, True, second.id)
        await node.runner.signal(first.id, "go")
        await node.finish(first.id)
        third, joined_third = await node.runner.submit(opening(key="same"))
        assert not joined_third
        assert third.id != first.id


async def test_fifty_equal_requests_at_once_are_one_run(path: Path) -> None:
    async with opened(path) as store, started(Node(store).carries(holds_on)) as node:
        answers = await asyncio.gather(*(node.runner.submit(opening(key="same")) for _ in range(50)))
        assert len({run.id for run, _ in answers}) == 1
        assert sum(not joined for _, joined in answers) == 1


async def test_the_gate_takes_lock_epoch_and_state_at_once(path: Path) -> None:
    seen: dict[str, Any] = {}

    async def walk(ctx: Walking) -> None:
        await ctx.emit(moved(State.PLANNED), "planned")
        seen["walk"] = (ctx.epoch, (await history.get(ctx.run)).state)
        await ctx.pass_gate(passage(args={"plan": 1}))

    async def steps(ctx: Context) -> None:
        seen["deploy"] = (ctx.epoch, await history.get(ctx.run))

    async with opened(path) as store:
        history = History(store)
        node = Node(store).programs(ending(State.SUCCEEDED, steps), walk)
        async with started(node):
            run = await node.begin()
            assert await node.finish(run) == State.SUCCEEDED
    (walk_epoch, walk_state), (epoch, row) = seen["walk"], seen["deploy"]
    assert walk_state == State.PLANNED
    assert epoch > walk_epoch
    assert (row.state, row.program, row.args, row.epoch, row.plan_hash) == (
        State.RUNNING,
        "deploy/1",
        {"plan": 1},
        epoch,
        "a" * 64,
    )


async def test_a_second_run_of_a_target_is_refused_with_the_holder_and_what_to_type(path: Path) -> None:
    refused: list[DeployError] = []

    async def walk(ctx: Walking) -> None:
        try:
            await ctx.pass_gate(passage())
        except DeployError as error:
            refused.append(error)
            await ctx.emit(Finished(state=State.FAILED_NO_CHANGE, reason=error.code), "end")

    async with opened(path) as store:
        node = Node(store).programs(ending(State.SUCCEEDED, holds_on), walk)
        async with started(node):
            holder = await node.begin()
            await until(lambda: node.runner.carrying == 1)
            await node.reaches(holder, State.RUNNING)
            other = await node.begin(service="other")
            second = await node.begin()
            assert await node.finish(second) == State.FAILED_NO_CHANGE
            (error,) = refused
            assert error.code == "E_LOCKED"
            assert holder in error.what
            assert "deploy v1.2.0, RUNNING" in error.what
            assert f"soc-deploy status {holder} --watch" in error.try_
            await node.runner.signal(holder, "go")
            assert await node.finish(holder) == State.SUCCEEDED
            third = await node.begin()
            await node.runner.signal(third, "go")
            assert await node.finish(third) == State.SUCCEEDED
            await node.runner.signal(other, "go")
            assert await node.finish(other) == State.SUCCEEDED


async def test_a_paused_run_keeps_its_lock(path: Path) -> None:
    async def paused(ctx: Context) -> None:
        await ctx.emit(Moved(state=State.PAUSED, reason="operator"), "paused")
        await ctx.wait("hold", ("go",), 3600)

    async with opened(path) as store, started(Node(store).carries(paused)) as node:
        first = await node.begin()
        await node.reaches(first, State.PAUSED)
        second = await node.begin()
        assert await node.finish(second) == State.FAILED_NO_CHANGE
        assert (await node.journal.load(second))[-2].payload["code"] == "E_LOCKED"


async def test_a_walk_that_crashed_is_run_again_and_its_rows_are_written_anew(path: Path) -> None:
    starts: list[Any] = []
    hold = asyncio.Event()

    async def look(watching: Watching) -> int:
        starts.append(watching.checkpoint)
        await watching.save(1)
        return len(starts)

    async def walk(ctx: Walking) -> None:
        await ctx.emit(notice("evidence"), "evidence/1")
        starts.append(await ctx.watch("gather", Activity("gather", look)))
        await hold.wait()
        await ctx.pass_gate(passage())

    async with opened(path) as store:
        async with started(Node(store).programs(ending(State.SUCCEEDED, holds_on), walk)) as node:
            run = await node.begin()
            await until(lambda: len(starts) == 2)
        hold.set()
        async with started(Node(store).programs(ending(State.SUCCEEDED, holds_on), walk)) as node:
            await node.runner.signal(run, "go")
            assert await node.finish(run) == State.SUCCEEDED
            assert len(await node.kinds(run, "emitted")) == 2
    assert starts == [None, 1, None, 3]


async def test_an_abort_before_the_gate_is_raised_at_the_gate(path: Path) -> None:
    hold = asyncio.Event()

    async def walk(ctx: Walking) -> None:
        await hold.wait()
        try:
            await ctx.pass_gate(passage())
        except Aborted:
            await ctx.emit(Finished(state=State.FAILED_NO_CHANGE, reason="operator"), "end")

    deploy = ending(State.SUCCEEDED, holds_on)
    async with opened(path) as store, started(Node(store).programs(deploy, walk)) as node:
        run = await node.begin()
        await node.runner.signal(run, "abort", {"reason": "no"}, "uid:1")
        hold.set()
        assert await node.finish(run) == State.FAILED_NO_CHANGE


async def test_programs_that_raise_end_their_run_and_say_what_is_known(path: Path) -> None:
    async def defective(_: Context) -> None:
        raise KeyError("oops")

    async def refuses(_: Walking) -> None:
        raise DeployError("E_CONFIG", "soc-deploy.yaml is not valid", "line 3", "soc-deploy init")

    async def forgets(_: Context) -> None:
        return

    async with opened(path) as store, started(Node(store).programs(defective)) as node:
        behind = await node.begin()
        assert await node.finish(behind) == State.NEEDS_OPERATOR
        node.programs(forgets)
        forgot = await node.begin()
        assert await node.finish(forgot) == State.NEEDS_OPERATOR
        node.programs(defective, refuses)
        before = await node.begin()
        assert await node.finish(before) == State.FAILED_NO_CHANGE
        error, end = (await node.journal.load(before))[-2:]
        assert (error.payload["code"], error.payload["try_"]) == ("E_CONFIG", "soc-deploy init")
        assert end.payload["reason"] == "E_CONFIG"


async def test_a_run_is_over_when_its_program_has_returned_but_the_lock_goes_with_its_state(path: Path) -> None:
    hold = asyncio.Event()

    async def program(ctx: Context) -> None:
        await ctx.emit(Finished(state=State.SUCCEEDED), "end")
        await hold.wait()
        await ctx.emit(notice("report written"), "report")

    async with opened(path) as store, started(Node(store).programs(program)) as node:
        run = await node.begin()
        await node.reaches(run, State.SUCCEEDED)
        assert not (await node.runner.wait(run, 0.05)).over
        assert await History(store).holder((await History(store).get(run)).target) is None
        with pytest.raises(DeployError, match="E_RUN_OVER"):
            await node.runner.signal(run, "pause")
        hold.set()
        assert await node.finish(run) == State.SUCCEEDED
        assert (await node.kinds(run))[-1] == ("emitted", "report")


async def test_signals_to_nobody_are_refused(path: Path) -> None:
    async with opened(path) as store, started(Node(store)) as node:
        with pytest.raises(DeployError, match="E_RUN_UNKNOWN"):
            await node.runner.signal(opening().id, "abort")
        with pytest.raises(DeployError, match="E_RUN_UNKNOWN"):
            await node.runner.wait(opening().id, 1)


async def test_a_run_of_a_program_that_is_not_known_here_is_left_alone(path: Path) -> None:
    async with opened(path) as store:
        async with started(Node(store).carries(holds_on)) as node:
            run = await node.begin()
            await node.runner.signal(run, "other")
        older = Runner(Journal(store), node="local", times=LeaseTimes(ttl=3, renew=0.05))
        await older.start()
        await asyncio.sleep(0.2)
        assert older.carrying == 0
        await older.stop()
        with pytest.raises(ValueError, match="not registered"):
            await older.submit(opening())


async def test_another_process_on_the_same_file_is_heard(path: Path) -> None:
    """Its signals, within the 100 ms in which the store looks, and what it journals."""
    async with (
        opened(path) as ours,
        opened(path) as theirs,
        started(Node(ours).carries(holds_on)) as node,
        started(Node(theirs, "cli")) as other,
    ):
        run = await node.begin()
        followed = asyncio.create_task(_kinds(other.journal, run))

        async def waits() -> bool:
            return ("intent", "hold") in await node.kinds(run)

        await until(waits)
        await asyncio.sleep(0.3)  # nobody looks at the store now
        await other.runner.signal(run, "go", {"x": 1}, "uid:2")
        assert await node.finish(run) == State.SUCCEEDED
        assert (await other.runner.wait(run, 20)).over
        assert (await asyncio.wait_for(followed, 20))[-2:] == ["observed", "finished"]


async def _kinds(journal: Journal, run: Any) -> list[str]:
    return [record.kind async for record in journal.tail(run)]


async def test_stopping_gives_the_lease_up_so_that_the_next_node_need_not_wait(path: Path) -> None:
    async with opened(path) as store:
        slow = LeaseTimes(ttl=3600, renew=600)
        first = Node(store, "one", times=slow).carries(holds_on)
        async with started(first):
            run = await first.begin()
        async with started(Node(store, "two", times=slow).carries(holds_on)) as second:
            await second.runner.signal(run, "go")
            assert await second.finish(run) == State.SUCCEEDED


async def test_a_run_of_a_dead_node_is_taken_over_when_its_lease_lapsed(path: Path) -> None:
    async with opened(path) as store:
        dead = Node(store, "one").carries(holds_on)
        await dead.runner.start()
        run = await dead.begin()
        await dead.reaches(run, State.RUNNING)
        epoch = (await History(store).get(run)).epoch
        await dead.runner.stop()
        await store.tx(lambda tx: tx.change("update nodes set lease_until=? where id='one'", store.now() + 0.7))
        async with started(Node(store, "two").carries(holds_on)) as heir:
            assert heir.runner.carrying == 0
            await until(lambda: heir.runner.carrying == 1)
            assert (await History(store).get(run)).epoch > epoch
            await heir.runner.signal(run, "go")
            assert await heir.finish(run) == State.SUCCEEDED


async def test_runs_are_found_by_their_beginning(path: Path) -> None:
    async with opened(path) as store, started(Node(store).carries(holds_on)) as node:
        run = await node.begin()
        history = History(store)
        assert (await history.find(run[:12])).id == run
        assert (await history.find(run.removeprefix("run_")[:8])).id == run
        assert [r.id for r in await history.open()] == [run]
        assert await history.finished(5) == []
        for wrong in ("", "run_", "run_zz", "%", "run_%"):
            with pytest.raises(DeployError, match="E_RUN_UNKNOWN"):
                await history.find(wrong)
        await node.runner.signal(run, "go")
        await node.finish(run)
        done = await history.get(run)
        assert [r.id for r in await history.finished(5, "uid:1000")] == [run]
        assert await history.finished(5, "uid:1") == []
        assert [r.id for r in await history.of_target(done.target, 5)] == [run]
        assert await history.of_target(done.target, 5, before=done.created_at) == []


@pytest.mark.parametrize("last", [moved(State.FAILED_NO_CHANGE), Finished(state=State.FAILED_NO_CHANGE)])
async def test_a_walk_that_ended_and_crashed_does_not_walk_again(path: Path, last: Payload) -> None:
    walks: list[int] = []

    async def walk(ctx: Walking) -> None:
        walks.append(1)
        await ctx.emit(last, "end")
        await asyncio.sleep(3600)

    async with opened(path) as store:
        async with started(Node(store).programs(ending(State.SUCCEEDED, holds_on), walk)) as node:
            run = await node.begin()
            await node.reaches(run, State.FAILED_NO_CHANGE)
        async with started(Node(store).programs(ending(State.SUCCEEDED, holds_on), walk)) as node:
            assert await node.finish(run) == State.FAILED_NO_CHANGE
            assert len(await node.kinds(run, "finished")) == 1
    assert walks == [1]
