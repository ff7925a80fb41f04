"""The owner of a rollout is killed at any transaction: the next one ends where an undisturbed rollout would."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from soc_deploy_mcp.core.config import STRATEGIES, Strategy
from soc_deploy_mcp.core.event import State
from tests.actions.deploy.scene import Scene
from tests.engine.virtual import VirtualClock, run_virtual
from tests.fakes.killing import KillingStore, killed
from tests.fakes.platform import Behaviour, FakePlatform

GOOD, BAD, ABORTED = "good", "bad", "aborted"
EXPECTED = {GOOD: State.SUCCEEDED, BAD: State.ROLLED_BACK, ABORTED: State.ROLLED_BACK}


def scene(path: Path, strategy: Strategy, fate: str) -> Scene:
    clock = VirtualClock(asyncio.get_running_loop())
    behaviour = Behaviour(errors=0.05) if fate == BAD else Behaviour()
    return Scene(FakePlatform(clock), path / "journal.db", strategy=strategy, new_behaviour=behaviour)


async def abort_soon(scene: Scene, node: Any) -> None:
    """As soon as users meet the new release, somebody aborts."""
    while not scene.platform.weights.get(scene.new.slug) and scene.platform.mode != "hold":
        await asyncio.sleep(0.05)
    await node.runner.signal(scene.run, "abort", {"reason": "changed my mind"}, "uid:1000")


async def undisturbed(path: Path, strategy: Strategy, fate: str) -> tuple[State, int, dict[Any, int]]:
    """The terminal state, the number of transactions, the weights at the end."""
    world = scene(path, strategy, fate)
    await world.prepare()
    async with world.store() as inner:
        store = KillingStore(inner)
        async with world.node(store) as node:
            run = await world.begin(node)
            aborting = asyncio.create_task(abort_soon(world, node)) if fate == ABORTED else None
            state = await world.end(node, run)
            if aborting:
                await aborting
        return state, store.count, world.platform.weights


async def disturbed(path: Path, strategy: Strategy, fate: str, at: int, phase: str) -> tuple[State, Scene]:
    world = scene(path, strategy, fate)
    await world.prepare()
    async with world.store() as inner:
        store = KillingStore(inner, at, phase)
        async with world.node(store) as node:
            run, aborting = await _until_dead(world, node, store, fate)
            await killed(node)
            if aborting:
                aborting.cancel()
            store.dead.clear()
            store.at = None
            await asyncio.sleep(2.0)  # nobody holds it for a while
        async with world.node(inner) as second:
            if run is None:
                run = await world.begin(second)
            if fate == ABORTED and (await second.runner._load(run)).ended_at is None:
                again = asyncio.create_task(abort_soon(world, second))
                state = await world.end(second, run)
                again.cancel()
            else:
                state = await world.end(second, run)
    return state, world


async def _until_dead(world: Scene, node: Any, store: KillingStore, fate: str) -> tuple[Any, Any]:
    async def begin() -> Any:
        return await world.begin(node)

    beginning = asyncio.create_task(begin())
    aborting: asyncio.Task[None] | None = None
    dead = asyncio.create_task(store.dead.wait())
    await asyncio.wait({beginning, dead}, return_when=asyncio.FIRST_COMPLETED)
    run = None
    if beginning.done():
        run = beginning.result()
        aborting = asyncio.create_task(abort_soon(world, node)) if fate == ABORTED else None
        ended = asyncio.create_task(world.end(node, run))
        await asyncio.wait({dead, ended}, return_when=asyncio.FIRST_COMPLETED)
        ended.cancel()
    beginning.cancel()
    dead.cancel()
    return run, aborting


def check_invariants(world: Scene) -> None:
    """I1 and I5 over all that was written: users are always sent to somebody, and never back to a release that was
    given up."""
    platform = world.platform
    given_up = False
    for _, verb, slug, weights in platform.history:
        assert not weights or sum(weights.values()) == 100
        if verb == "remove" and slug == world.new.slug:
            given_up = True
        assert not (given_up and weights.get(world.new.slug)), "a release that was removed got requests again"
    assert platform.lost == 0 or world.strategy == "recreate"


@pytest.mark.parametrize("fate", [GOOD, BAD, ABORTED])
@pytest.mark.parametrize("strategy", STRATEGIES)
def test_killed_at_sampled_points(tmp_path: Path, strategy: Strategy, fate: str) -> None:
    (tmp_path / "whole").mkdir()
    state, count, weights = run_virtual(undisturbed(tmp_path / "whole", strategy, fate))
    assert state is EXPECTED[fate]
    points = range(3, count, max(1, count // 5))
    for at in points:
        for phase in ("before", "after"):
            path = tmp_path / f"{at}-{phase}"
            path.mkdir()
            ended, world = run_virtual(disturbed(path, strategy, fate, at, phase))
            assert ended is state, f"killed {phase} transaction {at} of {count}"
            assert world.platform.weights == weights, f"killed {phase} transaction {at} of {count}"
            assert world.platform.refused == []
            check_invariants(world)
