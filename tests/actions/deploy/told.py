"""Rollouts in the recording fake world, for the rules: told in one line, looked at moment by moment."""

import asyncio
from collections.abc import Callable, Iterable
from math import ceil
from pathlib import Path
from typing import Any

from soc_deploy_mcp.core.event import Moved, Payload, State, payload
from soc_deploy_mcp.core.ids import Slug
from soc_deploy_mcp.engine.runs import Run
from tests.actions.deploy.kills import SHORT_S, Kill, People, Played, Reach, fresh, play
from tests.actions.deploy.scene import Scene
from tests.engine.virtual import VirtualClock, run_virtual
from tests.fakes.recording import Moment, RecordingPlatform

Setting = Callable[[Scene], None]


def told(
    path: Path,
    people: People | None = None,
    *,
    kills: Iterable[Kill] = (),
    gap_s: float = SHORT_S,
    setting: Setting = lambda scene: None,
    **how: Any,
) -> Played:
    """One run to its end. `setting` changes the scene before the old release serves."""

    async def main() -> Played:
        scene = Scene(recording(), fresh(path, len(list(path.iterdir()))), **how)
        setting(scene)
        return await play(scene, people, tuple(kills), gap_s)

    return run_virtual(main())


def recording() -> RecordingPlatform:
    return RecordingPlatform(VirtualClock(asyncio.get_running_loop()))


def platform(told: Played) -> RecordingPlatform:
    found = told.world.platform
    assert isinstance(found, RecordingPlatform)
    return found


def moments(told: Played) -> list[Moment]:
    """Of the rollout itself; how the old release came to serve is left out."""
    before = next(i for i, m in enumerate(platform(told).moments) if m.verb == "shift")
    return platform(told).moments[before + 1 :]


def written(reach: Reach) -> int:
    """How many moments there are so far: several may have the same virtual time."""
    found = reach.world.platform
    assert isinstance(found, RecordingPlatform)
    return len(found.moments)


def shares(told: Played) -> list[int]:
    """The weight of the new release after each write, in order."""
    return [m.weight(told.world.new.slug) for m in moments(told) if m.verb != "probe"]


def needed(weight: int, instances: int) -> int:
    """I1: ready instances without which a release may not have so much weight."""
    return max(1, ceil(weight * instances / 100)) if weight else 0


def facts(told: Played) -> list[Payload]:
    return [payload(record) for record in told.records]


def pauses(told: Played) -> list[str]:
    return [f.reason for f in facts(told) if isinstance(f, Moved) and f.state == "PAUSED"]


def meets(share: int) -> Callable[[Reach], bool]:
    """Does the new release have this share of the users?"""
    return lambda reach: reach.world.platform.weights.get(reach.world.new.slug) == share


async def when(reach: Reach, true: Callable[[Reach], bool]) -> bool:
    return await reach.until(lambda run: true(reach))


def only(slug: Slug) -> dict[Slug, int]:
    return {slug: 100}


async def at(reach: Reach, where: str) -> bool:
    """Wait until the run is there: a share, everybody, bake, pause, on the way back."""
    match where:
        case "a share":
            return await when(reach, meets(10))
        case "everybody":
            return await when(reach, meets(100))
        case "bake":
            return await reach.until(lambda run: run.state is State.BAKING)
        case "on the way back":
            return await at(reach, "a share") and await say(reach, "abort")
        case _:
            return await at(reach, "a share") and await say(reach, "pause") and await reach.until(paused)


def paused(run: Run) -> bool:
    return run.state is State.PAUSED


async def say(reach: Reach, *names: str) -> bool:
    """One after the other, without a breath in between."""
    run, node = await reach.run(), await reach.node()
    assert run is not None
    for name in names:
        await node.runner.signal(run.id, name, {"reason": "changed my mind"}, "uid:1000")
    return True
