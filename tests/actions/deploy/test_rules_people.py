"""The regression rules about orders and about several runs of one target: each is what another tool got wrong once."""

import asyncio
from pathlib import Path

import pytest

from soc_deploy_mcp.core.errors import DeployError
from soc_deploy_mcp.core.event import ErrorSeen, GoingBack, PlanMade, State, payload
from soc_deploy_mcp.engine.history import History
from tests.actions.deploy.kills import Reach
from tests.actions.deploy.scene import Scene, target
from tests.actions.deploy.told import (
    at,
    facts,
    only,
    platform,
    recording,
    say,
    told,
    written,
)
from tests.engine.builders import until
from tests.engine.virtual import run_virtual
from tests.fakes.killing import KillingStore, killed
from tests.fakes.platform import Behaviour

BAD = Behaviour(errors=0.05)
HOUR = 3600.0


def scene(path: Path, **how: object) -> Scene:
    return Scene(recording(), path / "journal.db", **how)  # type: ignore[arg-type]


# --- R1 to R3: orders


@pytest.mark.parametrize("orders", [("abort",), ("promote", "abort"), ("abort", "promote", "resume")])
@pytest.mark.parametrize("where", ["a share", "everybody", "bake", "pause", "on the way back"])
def test_r01_an_abort_is_taken_everywhere_and_wins(tmp_path: Path, where: str, orders: tuple[str, ...]) -> None:
    """R1: abort is accepted in every non-terminal state and wins over promote. State by state: test_machine.py."""
    before: list[int] = []  # how much was written when it was said

    async def people(reach: Reach) -> None:
        if await at(reach, where):
            before.append(written(reach))
            await say(reach, *orders)

    ended = told(tmp_path, people)
    assert ended.state is State.ROLLED_BACK
    after = [m.weight(ended.world.new.slug) for m in platform(ended).moments[before[0] :] if m.verb != "probe"]
    assert after == sorted(after, reverse=True)
    assert platform(ended).weights == only(ended.world.old.slug)
    assert [f.by for f in facts(ended) if isinstance(f, GoingBack)] == ["uid:1000"]


@pytest.mark.parametrize("new", [Behaviour(), BAD])
def test_r02_an_abort_of_a_finished_run_changes_nothing(tmp_path: Path, new: Behaviour) -> None:
    """R2: abort on a terminal run is an explicit no-op. Its words: tests/interfaces/application."""

    async def main() -> tuple[list[object], list[object], int, int]:
        world = scene(tmp_path, new_behaviour=new)
        await world.prepare()
        async with world.store() as store, world.node(store) as node:
            await world.play(node)
            assert world.run is not None
            before, rows = list(world.platform.history), len(await node.journal.load(world.run))
            with pytest.raises(DeployError) as caught:
                await node.runner.signal(world.run, "abort", {"reason": "too late"}, "uid:1000")
            assert caught.value.code == "E_RUN_OVER"
            await asyncio.sleep(60)
            return before, list(world.platform.history), rows, len(await node.journal.load(world.run))

    before, after, rows, rows_after = run_virtual(main())
    assert (before, rows) == (after, rows_after)


def test_r03_an_aborted_canary_gets_no_weight_again_and_a_retry_is_a_new_run(tmp_path: Path) -> None:
    """R3: a retry is a new run with a fresh plan."""

    async def main() -> None:
        world = scene(tmp_path)
        await world.prepare()
        async with world.store() as store, world.node(store) as node:
            first = await world.begin(node)
            await until(lambda: world.platform.weights.get(world.new.slug) == 50, HOUR)
            await node.runner.signal(first, "abort", {"reason": "no"}, "uid:1000")
            assert await world.end(node, first) is State.ROLLED_BACK
            for order in ("resume", "promote", "abort"):
                with pytest.raises(DeployError, match="over"):
                    await node.runner.signal(first, order, None, "uid:1000")
            await asyncio.sleep(60)
            assert world.platform.weights == only(world.old.slug)
            told_before = len(world.platform.history)
            second = await world.begin(node)
            assert await world.end(node, second) is State.SUCCEEDED
            assert second != first
            assert any(isinstance(payload(r), PlanMade) for r in await node.journal.load(second))
            risen = [w.get(world.new.slug, 0) for _, verb, _, w in world.platform.history[told_before:]]
            assert [share for i, share in enumerate(risen) if share and share not in risen[:i]] == [10, 50, 100]

    run_virtual(main())


# --- R16 to R18: runs of one target


def test_r16_a_second_deploy_is_refused_and_the_first_one_does_not_notice(tmp_path: Path) -> None:
    """R16: reject, explicit (this version neither queues nor supersedes); never two rollouts' weights mixed."""

    async def main() -> None:
        world = scene(tmp_path)
        await world.prepare()
        async with world.store() as store, world.node(store) as node:
            first = await world.begin(node)
            await until(lambda: world.platform.weights.get(world.new.slug) == 10, HOUR)
            before = len(world.platform.history)
            second = await world.begin(node)
            assert await world.end(node, second) is State.FAILED_NO_CHANGE
            (error,) = [p for r in await node.journal.load(second) if isinstance(p := payload(r), ErrorSeen)]
            assert (error.code, first in error.what) == ("E_LOCKED", True)
            assert f"soc-deploy abort {first}" in error.try_
            assert len(world.platform.history) == before
            assert await world.end(node, first) is State.SUCCEEDED

    run_virtual(main())


def test_r17_a_dead_owner_s_run_goes_on_and_its_lock_needs_no_hand(tmp_path: Path) -> None:
    """R17: a lock has TTL, fencing and automatic resume: another node takes the run when the lease ran out."""

    async def main() -> None:
        world = scene(tmp_path)
        await world.prepare()
        async with world.store() as store:
            mortal = KillingStore(store, 70)
            dead = world.seat(mortal, "one")
            await dead.runner.start()
            run = await world.begin(dead)
            await mortal.dead.wait()
            await killed(dead)
            died, ttl = world.platform.clock.monotonic(), dead.runner._lease.times.ttl
            assert world.platform.weights.get(world.new.slug)
            writes, epoch = len(world.platform.history), world.platform.epoch
            async with world.node(store, "two") as heir:
                assert await world.end(heir, run) is State.SUCCEEDED
                resumed = next(at for at, verb, *_ in world.platform.history[writes:] if verb != "dead-man")
                assert ttl - heir.runner._lease.times.renew <= resumed - died <= ttl + 3.0
                assert world.platform.epoch > epoch
            assert await History(store).holder(target().id) is None

    run_virtual(main())


async def _old_is_down(world: Scene) -> None:
    await until(lambda: world.platform.weights == only(world.new.slug), HOUR)
    world.platform.behaviours["v1.0.0"].never_ready = True
    world.platform.behaviours["v1.1.0"].errors = 1.0


@pytest.mark.parametrize("first", [State.ROLLED_BACK, State.FAILED_NO_CHANGE, State.NEEDS_OPERATOR])
def test_r18_a_failed_run_never_blocks_the_next_one(tmp_path: Path, first: State) -> None:
    """R18: whatever the first one ended in, a new plan is carried out."""
    how = {State.ROLLED_BACK: BAD, State.FAILED_NO_CHANGE: Behaviour(never_ready=True)}.get(first, Behaviour())

    async def main() -> None:
        world = scene(tmp_path, new_behaviour=how)
        await world.prepare()
        async with world.store() as store, world.node(store) as node:
            trouble = asyncio.create_task(_old_is_down(world)) if first is State.NEEDS_OPERATOR else None
            assert await world.play(node) is first
            if trouble is not None:
                await trouble
            world.platform.behaviours.update({"v1.0.0": Behaviour(), "v1.1.0": Behaviour()})
            await asyncio.sleep(60)
            assert await world.play(node) is State.SUCCEEDED

    run_virtual(main())
