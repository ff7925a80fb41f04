"""The owner dies or is stopped, at any moment: users are safe, the next owner goes on, the old one writes no more."""

import asyncio
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from soc_deploy_mcp.core.ids import Epoch
from soc_deploy_mcp.tools.local import instances
from tests.e2e.local.scene import Scene, until
from tests.support.load import load
from tests.support.processes import running_below

ROOT = Path(__file__).parents[3]
KILLS = 3


@contextmanager
def owner(scene: Scene, what: str, epoch: int) -> Iterator[subprocess.Popen[str]]:
    words = [str(scene.home), str(scene.project), str(scene.port), str(epoch), what]
    command = [sys.executable, "-m", "tests.e2e.local.owner", *words]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.send_signal(signal.SIGCONT)
            process.kill()


async def said(process: subprocess.Popen[str]) -> str:
    assert process.stdout
    return (await asyncio.wait_for(asyncio.to_thread(process.stdout.readline), 60)).strip()


async def test_a_dead_owners_canary_goes_back_to_the_proven_release(scene: Scene, tmp_path: Path) -> None:
    with owner(scene, "canary", 1) as process:
        assert await said(process) == "canary"
        old, new = await scene.release("v1.0.0"), await scene.release("v2.0.0")
        with load(scene.entry, tmp_path / "load", rate=50, new=0.5) as users:
            process.kill()

            async def returned() -> bool:
                return (await scene.seen()).weights == {old.slug: 100}

            await until(returned)
            assert (await scene.seen()).dead_man.fired_at is not None
            users.wait_sent(users.live().get("sent", 0) + 50)
            assert users.stop()["failed"] == 0
    resumed = scene.another()  # the next owner finds everything, and may go on
    await resumed.renew(scene.target, Epoch(2), 60)
    assert (await resumed.observe(scene.target)).ready(new.slug) == 2
    assert (await resumed.shift(scene.target, {new.slug: 100}, Epoch(2))).weights == {new.slug: 100}


async def test_a_living_owners_canary_stays(scene: Scene) -> None:
    with owner(scene, "canary", 1) as process:
        assert await said(process) == "canary"
        await asyncio.sleep(5)  # more than two timers
        assert (await scene.seen()).dead_man.fired_at is None


async def test_a_stopped_owner_wakes_up_too_late(scene: Scene) -> None:
    """SIGSTOP at a random point of a write, a new owner, SIGCONT: the late write is refused where it would land."""
    chance = random.Random(7)
    for epoch in range(1, 2 * KILLS, 2):
        with owner(scene, "flap", epoch) as process:
            assert await said(process) == "flap"
            await asyncio.sleep(chance.uniform(0, 0.3))
            process.send_signal(signal.SIGSTOP)
            new = await scene.release("v2.0.0")
            weights = {new.slug: 100}
            mine = await scene.another().shift(scene.target, weights, Epoch(epoch + 1))
            assert mine.weights == weights
            process.send_signal(signal.SIGCONT)
            assert await said(process) == "E_STALE_EPOCH"
        seen = await scene.seen()
        assert (seen.weights, seen.epoch, seen.dead_man.armed) == (weights, epoch + 1, False)


async def test_whenever_the_owner_is_killed_the_next_one_brings_it_to_an_end(scene: Scene, tmp_path: Path) -> None:
    chance = random.Random(11)
    old, new = await scene.release("v1.0.0"), await scene.release("v2.0.0")
    await scene.serve(old, 2)
    with load(scene.entry, tmp_path / "load", rate=40, new=0.5) as users:
        for epoch in range(2, 2 + 2 * KILLS, 2):
            with owner(scene, "walk", epoch) as process:
                assert await said(process) == "walk"
                await asyncio.sleep(chance.uniform(0, 2.5))
                process.kill()
            platform, mine = scene.another(), Epoch(epoch + 1)
            await platform.renew(scene.target, mine, None)
            await platform.ensure(scene.target, new, 2, mine)
            await platform.shift(scene.target, {new.slug: 100}, mine)
            await platform.drain(scene.target, old.slug, mine)
            await platform.remove(scene.target, old.slug, mine)
            seen = await platform.observe(scene.target)
            assert (set(seen.releases), seen.ready(new.slug)) == ({new.slug}, 2)
            assert [i.release for i in instances.scan(scene.place)] == [new.slug] * 2
            await no_others(scene)
        assert users.stop()["failed"] == 0


async def no_others(scene: Scene) -> None:
    """Two instances, the guard and the router, each with its supervisor, and nothing else of this home."""
    end = time.monotonic() + 20
    while len(found := running_below(scene.home)) != 8:
        assert time.monotonic() < end, found
        await asyncio.sleep(0.1)
