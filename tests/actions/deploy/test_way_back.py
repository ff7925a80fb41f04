"""The way back whatever happens to it: errors nobody foresaw, batches half done, a calendar that is turned."""

import asyncio
from pathlib import Path

import pytest

from soc_deploy_mcp.core.config import Settings
from soc_deploy_mcp.core.event import State
from tests.actions.deploy.kills import Reach
from tests.actions.deploy.scene import Scene, settings
from tests.actions.deploy.told import meets, only, platform, say, told, when, written
from tests.fakes.platform import Behaviour

HOUR = 3600.0


def fails_once(scene: Scene, verb: str) -> list[float]:
    """A write of this kind raises what no contract speaks of, when half of the users are on the new release."""
    failed: list[float] = []

    def fault(asked: str) -> None:
        if asked == verb and scene.platform.weights.get(scene.new.slug) == 50 and not failed:
            failed.append(scene.platform.clock.monotonic())
            raise ConnectionResetError("gone")

    scene.platform.fault = fault
    return failed


def test_an_error_of_an_unknown_kind_does_not_leave_users_where_they_are(tmp_path: Path) -> None:
    failed: list[list[float]] = []

    async def abort(reach: Reach) -> None:
        if await when(reach, meets(50)):
            failed.append(fails_once(reach.world, "shift"))
            await reach.say("abort")

    ended = told(tmp_path, abort)
    assert failed[0]
    assert (ended.state, platform(ended).weights) == (State.ROLLED_BACK, only(ended.world.old.slug))


def test_an_error_of_an_unknown_kind_does_not_end_the_beat(tmp_path: Path) -> None:
    """The timer fired a lease later, and the error came out where the beat was switched off."""
    failed: list[list[float]] = []
    ended = told(tmp_path, setting=lambda scene: failed.append(fails_once(scene, "renew")))
    assert failed[0]
    assert "dead-man" not in [verb for _, verb, *_ in platform(ended).history]
    assert ended.state is State.SUCCEEDED


@pytest.mark.parametrize("share", [33, 66, 100])
def test_a_rolling_update_goes_back_from_where_it_is(tmp_path: Path, share: int) -> None:
    """I5, R5: it began at the last batch, stopped old instances that served, and gave the new release more users."""
    before: list[int] = []

    async def people(reach: Reach) -> None:
        instances, old = reach.world.platform.instances, reach.world.old.slug
        left = {33: 2, 66: 1, 100: 0}[share]
        if await when(reach, lambda r: meets(share)(r) and len(instances.get(old, ())) == left):
            before.append(written(reach))
            await say(reach, "abort")

    ended = told(tmp_path, people, strategy="rolling")
    since = [m for m in platform(ended).moments[before[0] :] if m.verb != "probe"]
    shares = [m.weight(ended.world.new.slug) for m in since]
    ready = [m.ready.get(ended.world.old.slug, 0) for m in since]
    assert (shares, ready) == (sorted(shares, reverse=True), sorted(ready))
    assert (ended.state, ended.left) == (State.ROLLED_BACK, {ended.world.old.slug: 3})


def without_surplus() -> Settings:
    asked = settings()
    rolling = asked.deploy.rolling.model_copy(update={"max_surge": 0, "max_unavailable": 1})
    return asked.model_copy(update={"deploy": asked.deploy.model_copy(update={"rolling": rolling})})


def test_an_instance_that_made_room_comes_back_when_its_successor_does_not_start(tmp_path: Path) -> None:
    """The run ended in FAILED_NO_CHANGE, and two of three instances were left."""
    ended = told(tmp_path, strategy="rolling", settings=without_surplus(), new_behaviour=Behaviour(never_ready=True))
    assert (ended.state, ended.left) == (State.ROLLED_BACK, {ended.world.old.slug: 3})


@pytest.mark.parametrize("turned", [HOUR, -HOUR])
@pytest.mark.parametrize("where", ["a share", "bake", "on the way back"])
def test_a_calendar_that_is_turned_ends_nothing_and_prolongs_nothing(tmp_path: Path, where: str, turned: float) -> None:
    """Limits are of time that passed: a bake must not end at once, nor an observation last an hour longer."""

    async def people(reach: Reach) -> None:
        if where == "bake":
            await reach.until(lambda run: run.state is State.BAKING)
        else:
            await when(reach, meets(10))
        if where == "on the way back":
            await say(reach, "abort")
            await asyncio.sleep(3)
        await asyncio.sleep(2)
        reach.world.platform.clock.turn(turned)  # type: ignore[attr-defined]

    async def undisturbed(reach: Reach) -> None:
        if where == "on the way back" and await when(reach, meets(10)):
            await say(reach, "abort")

    turned_, whole = told(tmp_path, people), told(tmp_path, undisturbed)
    assert turned_.state is whole.state
    lasted = [platform(each).clock.monotonic() for each in (turned_, whole)]
    assert lasted[0] == pytest.approx(lasted[1], abs=10)
