"""What every engine's Context promises to a program."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from soc_deploy_mcp.core.errors import DeployError
from soc_deploy_mcp.core.event import Finished, State
from soc_deploy_mcp.engine.context import Aborted, Activity, Attempt, Context, Lost, Taken, Watching
from tests.engine.builders import Node, effect, moved, notice, opened, started, until


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal.db"


async def returns(value: Any) -> Any:
    return value


async def test_intent_is_journalled_before_the_effect_and_its_result_after(path: Path) -> None:
    async with opened(path) as store:
        seen: list[list[tuple[str, str]]] = []
        node = Node(store)

        async def steps(ctx: Context) -> None:
            async def look(_: Attempt) -> str:
                seen.append(await node.kinds(ctx.run, "intent", "observed"))
                return "shifted"

            assert await ctx.act("shift", effect(look)) == "shifted"

        async with started(node.carries(steps)):
            run = await node.begin()
            assert await node.finish(run) == State.SUCCEEDED
        assert seen == [[("intent", "shift")]]
        assert await node.kinds(run, "intent", "observed") == [("intent", "shift"), ("observed", "shift")]


async def test_a_recorded_step_returns_its_result_without_its_effect_after_a_restart(path: Path) -> None:
    calls: list[str] = []
    hold = asyncio.Event()

    async def steps(ctx: Context) -> None:
        async def count(attempt: Attempt) -> dict[str, Any]:
            calls.append(f"shift {attempt.number}")
            return {"weights": (5, 95)}

        assert await ctx.act("shift", effect(count)) == {"weights": [5, 95]}
        at = ctx.now()
        await ctx.emit(notice("half way"), "half")
        times.append((at, ctx.now()))
        await hold.wait()

    times: list[tuple[float, float]] = []
    async with opened(path) as store:
        async with started(Node(store).carries(steps)) as node:
            run = await node.begin()
            await until(lambda: len(times) == 1)
        hold.set()
        async with started(Node(store).carries(steps)) as node:
            assert await node.finish(run) == State.SUCCEEDED
            assert len(await node.kinds(run, "emitted")) == 1
    assert calls == ["shift 1"]
    assert times[0] == times[1]


async def test_an_effect_that_was_cut_off_is_called_again_as_the_second_attempt(path: Path) -> None:
    attempts: list[Attempt] = []

    async def steps(ctx: Context) -> None:
        async def hang_once(attempt: Attempt) -> str:
            attempts.append(attempt)
            if attempt.first:
                await asyncio.sleep(3600)
            return "done"

        assert await ctx.act("shift", effect(hang_once)) == "done"

    async with opened(path) as store:
        async with started(Node(store).carries(steps)) as node:
            run = await node.begin()
            await until(lambda: attempts)
        async with started(Node(store).carries(steps)) as node:
            assert await node.finish(run) == State.SUCCEEDED
    assert [a.number for a in attempts] == [1, 2]
    assert attempts[1].epoch > attempts[0].epoch


@pytest.mark.parametrize(
    ("raised", "caught"),
    [
        (DeployError("E_SMOKE_FAILED", "no", "500", "soc-deploy status"), "E_SMOKE_FAILED"),
        (KeyError("oops"), "E_INTERNAL"),
        (asyncio.CancelledError(), "E_INTERNAL"),
    ],
)
async def test_what_an_effect_raises_is_journalled_and_raised_again(
    path: Path, raised: BaseException, caught: str
) -> None:
    codes: list[tuple[str, str, str]] = []
    calls: list[int] = []
    hold = asyncio.Event()

    async def steps(ctx: Context) -> None:
        async def fail(attempt: Attempt) -> None:
            calls.append(attempt.number)
            raise raised

        with pytest.raises(DeployError) as error:
            await ctx.act("smoke", effect(fail))
        codes.append((error.value.code, error.value.what, error.value.try_))
        await hold.wait()

    async with opened(path) as store:
        async with started(Node(store).carries(steps)) as node:
            run = await node.begin()
            await until(lambda: codes)
        hold.set()
        async with started(Node(store).carries(steps)) as node:
            assert await node.finish(run) == State.SUCCEEDED
    assert calls == [1]
    assert codes[0] == codes[1]
    assert codes[0][0] == caught


async def test_an_effect_past_its_time_is_cancelled_and_stays_timed_out_on_replay(path: Path) -> None:
    calls: list[str] = []
    hold = asyncio.Event()

    async def steps(ctx: Context) -> None:
        async def slow(_: Attempt) -> None:
            try:
                await asyncio.sleep(3600)
            finally:
                calls.append("cancelled")

        with pytest.raises(TimeoutError):
            await ctx.act("drain", effect(slow, timeout_s=0.05))
        calls.append("timed out")
        await hold.wait()

    async with opened(path) as store:
        async with started(Node(store).carries(steps)) as node:
            run = await node.begin()
            await until(lambda: "timed out" in calls)
        hold.set()
        async with started(Node(store).carries(steps)) as node:
            assert await node.finish(run) == State.SUCCEEDED
    assert calls == ["cancelled", "timed out", "timed out"]


async def test_a_step_key_used_twice_ends_the_run_as_a_defect(path: Path) -> None:
    async def steps(ctx: Context) -> None:
        await ctx.sleep("pause", 0)
        await ctx.sleep("pause", 0)

    async with opened(path) as store, started(Node(store).carries(steps)) as node:
        run = await node.begin()
        assert await node.finish(run) == State.NEEDS_OPERATOR
        assert "used twice" in (await node.journal.load(run))[-2].payload["what"]


async def test_abort_cancels_a_running_effect_and_the_way_back_is_not_interrupted(path: Path) -> None:
    said: list[str] = []
    inside = asyncio.Event()

    async def program(ctx: Context) -> None:
        async def hang(_: Attempt) -> None:
            inside.set()
            try:
                await asyncio.sleep(3600)
            finally:
                said.append("effect cancelled")

        async def back(_: Attempt) -> str:
            await node.runner.signal(ctx.run, "abort", {"reason": "again"}, "uid:2")
            await asyncio.sleep(0.02)
            return "at 0"

        try:
            await ctx.act("shift", effect(hang))
        except Aborted as abort:
            said.append(f"aborted by {abort.by}: {abort.reason}")
            await ctx.way_back()
            said.append(await ctx.act("back/shift0", effect(back)))
            await ctx.sleep("back/settle", 0.01)
            await ctx.emit(Finished(state=State.ROLLED_BACK), "end")

    async with opened(path) as store, started(Node(store).programs(program)) as node:
        run = await node.begin()
        await inside.wait()
        await node.runner.signal(run, "abort", {"reason": "wrong version"}, "uid:1")
        assert await node.finish(run) == State.ROLLED_BACK
    assert said == ["effect cancelled", "aborted by uid:1: wrong version", "at 0"]


async def test_a_way_back_taken_by_itself_is_not_interrupted_by_an_abort(path: Path) -> None:
    inside, done = asyncio.Event(), asyncio.Event()

    async def program(ctx: Context) -> None:
        async def back(_: Attempt) -> str:
            inside.set()
            await done.wait()
            return "at 0"

        await ctx.way_back()
        assert await ctx.act("back/shift0", effect(back)) == "at 0"
        await ctx.act("back/drain", effect(lambda _: returns("drained")))
        await ctx.emit(Finished(state=State.ROLLED_BACK), "end")

    async with opened(path) as store, started(Node(store).programs(program)) as node:
        run = await node.begin()
        await inside.wait()
        await node.runner.signal(run, "abort", None, "uid:1")
        await asyncio.sleep(0.05)
        done.set()
        assert await node.finish(run) == State.ROLLED_BACK


async def test_an_abort_sent_before_a_crash_is_found_before_anything_is_resumed(path: Path) -> None:
    calls: list[str] = []

    async def program(ctx: Context) -> None:
        async def count(attempt: Attempt) -> None:
            calls.append(f"shift {attempt.number}")
            await asyncio.sleep(3600)

        try:
            await ctx.act("shift", effect(count))
        except Aborted:
            await ctx.way_back()
            await ctx.act("back/shift0", effect(lambda a: returns(calls.append("back"))))
            await ctx.emit(Finished(state=State.ROLLED_BACK), "end")

    async with opened(path) as store:
        async with started(Node(store).programs(program)) as node:
            run = await node.begin()
            await until(lambda: calls)
        await node.runner.signal(run, "abort", {"reason": "stop"}, "uid:1")  # nobody carries it now
        async with started(Node(store).programs(program)) as node:
            assert await node.finish(run) == State.ROLLED_BACK
    assert calls == ["shift 1", "back"]


async def test_the_way_back_goes_on_after_a_crash_where_it_was(path: Path) -> None:
    calls: list[str] = []
    hold = asyncio.Event()

    async def program(ctx: Context) -> None:
        async def hang(_: Attempt) -> None:
            calls.append("shift")
            await asyncio.sleep(3600)

        async def drain(attempt: Attempt) -> None:
            calls.append(f"drain {attempt.number}")
            await hold.wait()

        try:
            await ctx.act("shift", effect(hang))
        except Aborted:
            await ctx.way_back()
            await ctx.act("back/shift0", effect(lambda a: returns(calls.append("back"))))
            await ctx.act("back/drain", effect(drain))
            await ctx.emit(Finished(state=State.ROLLED_BACK), "end")

    async with opened(path) as store:
        async with started(Node(store).programs(program)) as node:
            run = await node.begin()
            await until(lambda: calls)
            await node.runner.signal(run, "abort", None, "uid:1")
            await until(lambda: "drain 1" in calls)
        hold.set()
        async with started(Node(store).programs(program)) as node:
            assert await node.finish(run) == State.ROLLED_BACK
    assert calls == ["shift", "back", "drain 1", "drain 2"]


async def test_a_resumed_sleep_does_not_sleep_through_an_abort(path: Path) -> None:
    asleep: list[str] = []

    async def program(ctx: Context) -> None:
        asleep.append("zzz")
        try:
            await ctx.sleep("bake", 3600)
        except Aborted:
            await ctx.way_back()
            await ctx.emit(Finished(state=State.ROLLED_BACK), "end")

    async with opened(path) as store:
        async with started(Node(store).programs(program)) as node:
            run = await node.begin()
            await until(lambda: asleep)
        await node.runner.signal(run, "abort", None, "uid:1")
        async with started(Node(store).programs(program)) as node:
            assert await node.finish(run) == State.ROLLED_BACK


async def test_wait_takes_the_oldest_of_its_signals_and_leaves_the_others(path: Path) -> None:
    got: list[Any] = []

    async def steps(ctx: Context) -> None:
        got.append(await ctx.wait("gate", ("approved", "rejected"), 60))
        got.append(await ctx.take("more", "approved", "promote"))
        got.append(await ctx.take("none", "approved"))

    async with opened(path) as store, started(Node(store).carries(steps)) as node:
        run = await node.begin()
        await node.runner.signal(run, "promote", {"n": 1}, "uid:1")
        await node.runner.signal(run, "rejected", {"n": 2}, "uid:2")
        assert await node.finish(run) == State.SUCCEEDED
    assert got == [Taken("rejected", {"n": 2}, "uid:2"), Taken("promote", {"n": 1}, "uid:1"), None]


async def test_a_signal_that_was_taken_is_the_same_after_a_restart_and_not_taken_again(path: Path) -> None:
    got: list[Any] = []
    hold = asyncio.Event()

    async def steps(ctx: Context) -> None:
        got.append(await ctx.wait("gate", ("go",), 60))
        got.append(await ctx.take("empty", "go"))
        await hold.wait()
        got.append(await ctx.take("later", "go"))

    async with opened(path) as store:
        async with started(Node(store).carries(steps)) as node:
            run = await node.begin()
            await node.runner.signal(run, "go", 1, "uid:1")
            await until(lambda: len(got) == 2)
            await node.runner.signal(run, "go", 2, "uid:1")
        hold.set()
        async with started(Node(store).carries(steps)) as node:
            assert await node.finish(run) == State.SUCCEEDED
    one, two = Taken("go", 1, "uid:1"), Taken("go", 2, "uid:1")
    assert got == [one, None, one, None, two]


async def test_wait_ends_with_none_when_its_time_is_over(path: Path) -> None:
    got: list[Any] = []

    async def steps(ctx: Context) -> None:
        got.append(await ctx.wait("gate", ("approved",), 0.05))

    async with opened(path) as store, started(Node(store).carries(steps)) as node:
        assert await node.finish(await node.begin()) == State.SUCCEEDED
    assert got == [None]


async def test_a_watch_goes_on_from_its_checkpoint_and_counts_from_its_first_start(path: Path) -> None:
    seen: list[tuple[Any, float]] = []
    hold = asyncio.Event()

    async def judge(watching: Watching) -> str:
        seen.append((watching.checkpoint, watching.started_at))
        await watching.save({"n": len(seen)})
        await watching.save({"n": len(seen), "of": (1, 2)})
        await watching.emit(notice(f"tick {len(seen)}"), f"tick/{len(seen)}")
        await hold.wait()
        return "ACCEPT"

    async def steps(ctx: Context) -> None:
        assert await ctx.watch("judge", Activity("canary 5", judge)) == "ACCEPT"

    async with opened(path) as store:
        async with started(Node(store).carries(steps)) as node:
            run = await node.begin()
            await until(lambda: seen)
            await asyncio.sleep(0.05)
        hold.set()
        async with started(Node(store).carries(steps)) as node:
            assert await node.finish(run) == State.SUCCEEDED
            rows = await store.read(lambda tx: tx.all("select * from checkpoints"))
    assert [checkpoint for checkpoint, _ in seen] == [None, {"n": 1, "of": [1, 2]}]
    assert seen[0][1] == seen[1][1]
    assert rows == []


async def test_a_signal_wakes_a_watch_and_abort_cancels_it(path: Path) -> None:
    said: list[Any] = []
    inside = asyncio.Event()

    async def judge(watching: Watching) -> None:
        inside.set()
        while True:
            await watching.pause(3600)
            said.append(await watching.take("promote"))

    async def program(ctx: Context) -> None:
        try:
            await ctx.watch("judge", Activity("canary 5", judge))
        except Aborted:
            await ctx.way_back()
            await ctx.emit(Finished(state=State.ROLLED_BACK), "end")

    async with opened(path) as store, started(Node(store).programs(program)) as node:
        run = await node.begin()
        await inside.wait()
        await node.runner.signal(run, "promote", None, "uid:1")
        await until(lambda: said)
        await node.runner.signal(run, "abort", None, "uid:1")
        assert await node.finish(run) == State.ROLLED_BACK
    assert said[0] == Taken("promote", None, "uid:1")


async def test_an_order_that_a_watch_took_and_did_not_save_is_there_again_after_a_crash(path: Path) -> None:
    said: list[Any] = []
    hold = asyncio.Event()

    async def judge(watching: Watching) -> None:
        taken = await watching.take("pause")
        said.append(taken and taken.payload)
        if len(said) in (2, 3):
            await watching.save({"paused": True})
        await hold.wait()

    async def steps(ctx: Context) -> None:
        await ctx.wait("go", ("go",), 60)
        await ctx.watch("judge", Activity("canary 5", judge))

    async with opened(path) as store:
        async with started(Node(store).carries(steps)) as node:
            run = await node.begin()
            await node.runner.signal(run, "pause", 7, "uid:1")
            await node.runner.signal(run, "go", None, "uid:1")
            await until(lambda: len(said) == 1)
        async with started(Node(store).carries(steps)) as node:
            await until(lambda: len(said) == 2)
            await asyncio.sleep(0.05)
        hold.set()
        async with started(Node(store).carries(steps)) as node:
            assert await node.finish(run) == State.SUCCEEDED
    assert said == [7, 7, None]


async def test_an_owner_that_lost_its_run_writes_nothing_more(path: Path) -> None:
    lost: list[BaseException] = []
    inside, hold = asyncio.Event(), asyncio.Event()

    async def program(ctx: Context) -> None:
        async def slow(_: Attempt) -> str:
            inside.set()
            await hold.wait()
            return "late"

        try:
            await ctx.act("shift", effect(slow))
        except Lost as error:
            lost.append(error)
            with pytest.raises(Lost):
                await ctx.emit(notice("still here"), "late")
            raise

    async with opened(path) as store, started(Node(store).programs(program)) as node:
        run = await node.begin()
        await inside.wait()
        await store.tx(lambda tx: tx.change("update runs set owner='other', epoch=epoch+1 where id=?", run))
        await store.tx(lambda tx: tx.change("insert into nodes values('other', 1e12)"))
        hold.set()
        await until(lambda: lost)
        await asyncio.sleep(0.05)
        assert await node.kinds(run, "observed", "emitted", "finished") == []


class Full:
    """A store whose disk is full while `on`."""

    def __init__(self, store: Any) -> None:
        self.store, self.on = store, False

    def __getattr__(self, name: str) -> Any:
        return getattr(self.store, name)

    async def tx(self, work: Any) -> Any:
        if self.on:
            raise DeployError("E_JOURNAL", "journal.db cannot be written", "the disk is full", "df -h")
        return await self.store.tx(work)


@pytest.mark.parametrize("room_at", ["E_JOURNAL", "back", "end", "later"])
async def test_a_way_back_needs_no_journal_and_is_gone_again_when_there_is_one(path: Path, room_at: str) -> None:
    """Law 4: nothing delays the write that returns traffic. Once there is room again it must not go forward, and
    what was done without a journal is not half written into it."""
    calls: list[str] = []

    async def called(name: str) -> dict[str, Any]:
        calls.append(name)
        full.on = full.on and name != room_at
        return {"weight": (0,)}

    async def fill_the_disk(_: Attempt) -> None:
        calls.append("shift")
        full.on = True

    async def program(ctx: Context) -> None:
        try:
            await ctx.act("shift", effect(fill_the_disk))
        except (DeployError, Aborted) as error:
            await called(getattr(error, "code", "abort"))
            if isinstance(error, DeployError):
                with pytest.raises(DeployError):
                    await ctx.act("forward", effect(lambda _: called("never")))
            await ctx.way_back()
            await ctx.emit(moved(State.ABORTING), "back")
            assert await ctx.act("back/shift0", effect(lambda _: called("back"))) == {"weight": [0]}
            await ctx.sleep("back/settle", 0.01)
            assert await ctx.wait("back/wait", ("x",), 0.01) is None
            assert await ctx.take("back/take", "x") is None
            assert await ctx.watch("back/verify", Activity("health", lambda w: returns("ok"))) == "ok"
            full.on = full.on and room_at != "end"
            await ctx.emit(Finished(state=State.ROLLED_BACK), "end")

    async with opened(path) as store:
        full = Full(store)
        async with started(Node(full).programs(program)) as node:
            run = await node.begin()
            await until(lambda: calls == ["shift", "E_JOURNAL", "back"])
            await until(lambda: node.runner.trouble is not None and node.runner.trouble.code == "E_JOURNAL")
            full.on = False
            assert await node.finish(run) == State.ROLLED_BACK
            assert calls == ["shift", "E_JOURNAL", "back", "abort", "back"]
            said = [r.payload for r in await node.journal.load(run) if r.kind == "signal"]
            assert [(s["name"], s["by"]) for s in said] == [("abort", "engine")]
            back = [key for _, key in await node.kinds(run, "observed")]
            assert back == ["back/shift0", "back/settle", "back/wait", "back/take", "back/verify"]
            await until(lambda: node.runner.trouble is None)
