"""Nobody serves: requests wait, then are told so at once; without any release the entry says the same."""

import asyncio
import time

from soc_deploy_mcp.core.ids import Epoch
from soc_deploy_mcp.core.platform import Probe
from soc_deploy_mcp.tools.local import http1
from tests.e2e.local.scene import Scene, until

FIRST = Epoch(1)


async def mode(scene: Scene) -> str:
    return (await scene.seen()).mode


async def test_a_hold_becomes_maintenance_by_itself_and_answers_at_once(scene: Scene) -> None:
    old = await scene.release("v1.0.0", hold_s=1)
    await scene.serve(old)
    await scene.platform.shift(scene.target, {}, FIRST)

    async def in_maintenance() -> bool:
        return await mode(scene) == "maintenance"

    await until(in_maintenance)

    async def refused() -> bool:
        answer = await http1.request(("127.0.0.1", scene.port), "GET", "/", timeout=10)
        return (answer.status, answer.headers.get("retry-after")) == (503, "10")

    await until(refused)
    again = await scene.platform.shift(scene.target, {}, FIRST)
    assert again.mode == "maintenance"  # asked for again, a hold is not prolonged
    back = await scene.platform.shift(scene.target, {old.slug: 100}, FIRST)
    assert (back.mode, back.weights) == ("serve", {old.slug: 100})


async def test_the_owners_timer_does_not_prolong_a_hold(scene: Scene) -> None:
    old = await scene.release("v1.0.0", hold_s=1)
    await scene.serve(old)
    await scene.platform.shift(scene.target, {}, FIRST)

    async def in_maintenance() -> bool:
        await scene.platform.renew(scene.target, FIRST, 60)
        return await mode(scene) == "maintenance"

    await until(in_maintenance)


async def test_writes_during_a_hold_do_not_prolong_it(scene: Scene) -> None:
    old, new = await scene.release("v1.0.0", hold_s=2), await scene.release("v2.0.0")
    await scene.serve(old, 1)
    await scene.platform.shift(scene.target, {}, FIRST)
    for count in range(40):
        await scene.platform.ensure(scene.target, new, 1 + count % 2, FIRST)
        if await mode(scene) == "maintenance":
            return
    raise AssertionError("still held")


async def test_a_held_request_of_any_method_is_answered_by_the_next_release(scene: Scene) -> None:
    old, new = await scene.release("v1.0.0"), await scene.release("v2.0.0")
    await scene.serve(old)
    await scene.platform.ensure(scene.target, new, 1, FIRST)
    await scene.platform.shift(scene.target, {}, FIRST)

    async def holding() -> bool:
        try:
            await http1.request(("127.0.0.1", scene.port), "GET", "/", timeout=0.3)
        except TimeoutError:
            return True
        return False

    await until(holding)
    asked = [asyncio.create_task(scene.platform.probe(scene.target, None, "/", fresh=True)) for _ in range(20)]
    began = time.monotonic()
    while time.monotonic() - began < 0.5:
        assert not any(task.done() for task in asked)
        await asyncio.sleep(0.05)
    await scene.platform.shift(scene.target, {new.slug: 100}, FIRST)
    answers: list[Probe] = await asyncio.gather(*asked)
    assert {(a.status, a.release) for a in answers} == {(200, new.slug)}


async def test_without_hold_requests_are_refused_at_once(scene: Scene) -> None:
    old = await scene.release("v1.0.0", hold_s=0)
    await scene.serve(old)
    assert (await scene.platform.shift(scene.target, {}, FIRST)).mode == "maintenance"


async def test_before_the_first_weight_the_entry_is_in_maintenance(scene: Scene) -> None:
    await scene.platform.ensure(scene.target, await scene.release("v1.0.0"), 1, FIRST)
    assert (await scene.seen()).mode == "maintenance"
    assert (await http1.request(("127.0.0.1", scene.port), "GET", "/", timeout=10)).status == 503


async def test_the_first_release_can_be_given_up(scene: Scene) -> None:
    first = await scene.release("v1.0.0", hold_s=1)
    await scene.serve(first)
    await scene.platform.shift(scene.target, {}, FIRST)
    await scene.platform.drain(scene.target, first.slug, FIRST)
    await scene.platform.remove(scene.target, first.slug, FIRST)
    seen = await scene.seen()
    assert not seen.releases
    assert seen.weights == {}
