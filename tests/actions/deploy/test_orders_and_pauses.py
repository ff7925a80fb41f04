"""Orders that come at a bad moment, and pauses: what people said is obeyed, and never more than that."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from soc_deploy_mcp.core.config import STRATEGIES, Strategy
from soc_deploy_mcp.core.event import ErrorSeen, GoingBack, Notice, State
from soc_deploy_mcp.core.ids import Epoch
from soc_deploy_mcp.core.release import Release, Target
from tests.actions.deploy.kills import Reach
from tests.actions.deploy.scene import Scene, target
from tests.actions.deploy.told import facts, meets, only, paused, pauses, platform, say, told, when

LONG_S = 3000.0


def codes(ended: Any) -> list[str]:
    return [f.code for f in facts(ended) if isinstance(f, GoingBack)]


def test_a_promote_that_waits_for_data_does_not_go_past_a_pause(tmp_path: Path) -> None:
    still: list[int] = []

    async def people(reach: Reach) -> None:
        if not await when(reach, meets(10)):
            return
        await asyncio.sleep(2)
        reach.world.see("stale")
        await asyncio.sleep(5)
        await say(reach, "promote", "pause")
        await reach.until(paused)
        reach.world.see("")
        await asyncio.sleep(60)
        still.append(reach.world.platform.weights[reach.world.new.slug])
        await say(reach, "abort")

    told(tmp_path, people)
    assert still == [10]


def test_a_pause_while_requests_are_held_is_obeyed_when_somebody_serves(tmp_path: Path) -> None:
    """Nobody served until a person came back."""
    modes: list[str] = []

    async def people(reach: Reach) -> None:
        await reach.until(lambda run: reach.world.platform.mode == "hold")
        await say(reach, "pause")
        assert await reach.until(paused)
        await asyncio.sleep(300)
        modes.append(reach.world.platform.mode)
        await say(reach, "resume")

    ended = told(tmp_path, people, strategy="recreate")
    assert (modes, ended.state) == (["serve"], State.SUCCEEDED)


def slow(scene: Scene) -> None:
    """Instances need a moment to come and to go."""
    whole = scene.platform.ensure

    async def ensure(target: Target, release: Release, instances: int, epoch: Epoch) -> None:
        await asyncio.sleep(3.0)
        await whole(target, release, instances, epoch)

    scene.platform.ensure = ensure  # type: ignore[method-assign]


@pytest.mark.parametrize("strategy", ["rolling", "recreate"])
def test_a_pause_takes_no_time_of_the_step(tmp_path: Path, strategy: Strategy) -> None:
    """What came after a pause of an hour had one second, and a healthy release was taken back."""

    async def people(reach: Reach) -> None:
        share = {"rolling": 33}.get(strategy)
        await reach.until(lambda run: meets(share)(reach) if share else run.state is State.RUNNING)
        await say(reach, "pause")
        if await reach.until(paused):
            await asyncio.sleep(LONG_S)
            await say(reach, "resume")

    ended = told(tmp_path, people, setting=slow, strategy=strategy)
    assert [f.what for f in facts(ended) if isinstance(f, ErrorSeen)] == []
    assert ended.state is State.SUCCEEDED


def test_weights_that_somebody_else_wrote_stay_as_long_as_nobody_decides(tmp_path: Path) -> None:
    """The pause for it ended at its first look, and took the traffic back."""
    kept: list[bool] = []

    async def meddler(reach: Reach) -> None:
        world = reach.world
        if not await when(reach, meets(10)):
            return
        theirs = {world.old.slug: 60, world.new.slug: 40}
        await world.platform.shift(target(), theirs, world.platform.epoch)
        assert await reach.until(paused)
        await asyncio.sleep(60)
        kept.append(world.platform.weights == theirs)
        await reach.say("abort")

    ended = told(tmp_path, meddler)
    assert kept == [True]
    assert (pauses(ended), ended.state) == (["drift"], State.ROLLED_BACK)


@pytest.mark.parametrize(("auto", "why"), [(True, "REJECT errors"), (False, "EXPIRED")])
def test_r12_where_no_retreat_is_possible_the_judge_looks_on_in_a_pause(tmp_path: Path, auto: bool, why: str) -> None:
    """A rolling update paused because both were sick: that the new one alone stayed sick was seen by nobody."""

    async def people(reach: Reach) -> None:
        behaviours = reach.world.platform.behaviours
        if await when(reach, meets(66)):
            for how in behaviours.values():
                how.errors = 0.9
        if await reach.until(paused):
            behaviours["v1.0.0"].errors = 0.0
            behaviours["v1.1.0"].errors = 1.0

    ended = told(tmp_path, people, strategy="rolling", auto_rollback=auto)
    assert (pauses(ended)[0], codes(ended)) == ("env_unhealthy", [why])
    assert ended.state is State.ROLLED_BACK


def test_a_resume_does_not_go_past_a_reject_that_came_in_the_same_moment(tmp_path: Path) -> None:
    """It waited for a step that took it after the retreat, and users met the rejected release once more."""
    risen: list[int] = []

    async def people(reach: Reach) -> None:
        world, node = reach.world.platform, await reach.node()
        if not await when(reach, meets(10)):
            return
        world.rps = 0.1
        if not await reach.until(paused):
            return
        world.rps = 200.0
        world.behaviours["v1.1.0"].errors = 1.0
        run = await reach.run()
        assert run is not None
        async for record in node.journal.tail(run.id):
            if record.payload.get("word") in ("REJECT", "ABSOLUTE"):
                break
        await say(reach, "resume")
        before = len(world.history)
        await asyncio.sleep(100)
        risen.extend(weights.get(reach.world.new.slug, 0) for _, _, _, weights in world.history[before:])

    ended = told(tmp_path, people, auto_rollback=False)
    assert not any(risen)
    assert (pauses(ended), ended.state) == (["inconclusive", "health_failed"], State.ROLLED_BACK)


def test_after_an_unattended_pause_the_timer_guards_the_users_again(tmp_path: Path) -> None:
    armed: list[bool] = []

    async def people(reach: Reach) -> None:
        world, node = reach.world.platform, await reach.node()
        if not await when(reach, meets(10)):
            return
        run = await reach.run()
        assert run is not None
        await node.runner.signal(run.id, "pause", {"unattended": True}, "uid:1000")
        await reach.until(paused)
        await asyncio.sleep(5)
        armed.append(world.deadline is not None)
        await say(reach, "resume")
        await reach.until(lambda run: run.state is State.RUNNING)
        await asyncio.sleep(2)
        armed.append(world.deadline is not None)

    ended = told(tmp_path, people)
    assert (armed, ended.state) == ([False, True], State.SUCCEEDED)


# --- abort


def hearing(setting: Callable[[Scene, Reach], None]) -> tuple[Callable[[Scene], None], Callable[[Reach], Any]]:
    """A setting that needs to speak to the run: it is made when there is somebody to speak to."""
    scenes: list[Scene] = []

    async def people(reach: Reach) -> None:
        setting(scenes[0], reach)

    return scenes.append, people


@pytest.mark.parametrize("verb", ["drain", "remove"])
@pytest.mark.parametrize("strategy", STRATEGIES)
def test_an_abort_while_the_old_release_is_taken_away_brings_it_back(
    tmp_path: Path, strategy: Strategy, verb: str
) -> None:
    """Users were to go to instances that were on their way out; ten minutes later a person was called."""
    took: list[float] = []

    def interrupted(scene: Scene, reach: Reach) -> None:
        whole = getattr(scene.platform, verb)

        async def act(target: Target, release: str, epoch: Epoch) -> Any:
            result = await whole(target, release, epoch)
            if release == scene.old.slug and not took:
                took.append(scene.platform.clock.monotonic())
                await say(reach, "abort")
                await asyncio.sleep(3)
            return result

        setattr(scene.platform, verb, act)

    setting, people = hearing(interrupted)
    ended = told(tmp_path, people, setting=setting, strategy=strategy)
    assert took
    assert (ended.state, platform(ended).weights) == (State.ROLLED_BACK, only(ended.world.old.slug))
    back = next(at for at, verb_, _, w in platform(ended).history if at >= took[0] and w == only(ended.world.old.slug))
    assert back - took[0] < 5
    assert ended.left == {ended.world.old.slug: 3}


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_an_abort_after_everything_was_done_says_so_and_calls_nobody(tmp_path: Path, strategy: Strategy) -> None:
    """Its last messages and checks are made, and take seconds: the run ended in NEEDS_OPERATOR."""

    def interrupted(scene: Scene, reach: Reach) -> None:
        async def checks(*_: Any) -> tuple[()]:
            await say(reach, "abort")
            await asyncio.sleep(5)
            return ()

        scene.checks = checks  # type: ignore[method-assign]

    setting, people = hearing(interrupted)
    ended = told(tmp_path, people, setting=setting, strategy=strategy)
    assert (ended.state, platform(ended).weights) == (State.SUCCEEDED, only(ended.world.new.slug))
    assert [f.text for f in facts(ended) if isinstance(f, Notice) and "abort" in f.text] == [
        "abort by uid:1000 came when everything was done; nothing was taken back: roll back instead"
    ]


def test_a_resume_is_obeyed_as_soon_as_the_run_says_that_it_is_paused(tmp_path: Path) -> None:
    """Whoever follows the run and answers at once was forgotten, as if the order had come before the pause."""

    async def people(reach: Reach) -> None:
        node = await reach.node()
        if not await when(reach, meets(10)):
            return
        reach.world.platform.rps = 0.1
        run = await reach.run()
        assert run is not None
        async for record in node.journal.tail(run.id):
            if record.payload.get("state") == "PAUSED":
                break
        reach.world.platform.rps = 200.0
        await say(reach, "resume")

    assert told(tmp_path, people).state is State.SUCCEEDED
