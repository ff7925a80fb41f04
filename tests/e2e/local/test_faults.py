"""Whatever dies, is stopped or is refused: users are served, and what comes next goes on from what is."""

import asyncio
import os
import signal

import pytest

from soc_deploy_mcp.core.errors import DeployError
from soc_deploy_mcp.core.ids import Epoch
from soc_deploy_mcp.core.platform import InstanceState
from soc_deploy_mcp.core.release import Release
from soc_deploy_mcp.tools.local import envoy, instances
from soc_deploy_mcp.tools.local import router as router_module
from soc_deploy_mcp.tools.local.router import Router
from soc_deploy_mcp.tools.local.state import RouterState, without_release
from tests.e2e.local.scene import Scene, kill, until

FIRST, SECOND = Epoch(1), Epoch(2)


@pytest.fixture
async def old(scene: Scene) -> Release:
    release = await scene.release("v1.0.0")
    await scene.serve(release)
    return release


@pytest.fixture
async def new(scene: Scene, old: Release) -> Release:
    release = await scene.release("v2.0.0")
    await scene.platform.ensure(scene.target, release, 2, FIRST)
    return release


async def test_a_killed_router_serves_again_with_the_same_weights(scene: Scene, old: Release, new: Release) -> None:
    await scene.platform.shift(scene.target, {old.slug: 60, new.slug: 40}, FIRST)
    before = scene.router().pid
    kill(before)

    async def back() -> bool:
        seen = await scene.seen()
        return seen.weights == {old.slug: 60, new.slug: 40} and scene.router().pid != before

    await until(back)
    answers = [await scene.platform.probe(scene.target, None, "/", fresh=True) for _ in range(40)]
    assert {a.release for a in answers} == {old.slug, new.slug}


async def test_while_the_router_is_gone_the_weights_are_unknown(scene: Scene, old: Release) -> None:
    status = scene.router()
    kill(status.shim)
    kill(status.pid)
    seen = await scene.seen()
    assert (seen.weights, seen.mode) == (None, "down")
    assert seen.ready(old.slug) == 0
    assert {i.state for i in seen.releases[old.slug].instances} == {InstanceState.UNREADY}


async def test_a_shift_brings_back_a_router_that_lost_its_supervisor_too(
    scene: Scene, old: Release, new: Release
) -> None:
    status = scene.router()
    kill(status.shim)
    kill(status.pid)
    seen = await scene.platform.shift(scene.target, {new.slug: 100}, FIRST)
    assert seen.weights == {new.slug: 100}
    assert (await scene.platform.probe(scene.target, None, "/", fresh=True)).release == new.slug


async def test_a_router_whose_supervisor_died_is_adopted_not_doubled(scene: Scene, old: Release, new: Release) -> None:
    before = scene.router()
    kill(before.shim)
    await scene.platform.shift(scene.target, {new.slug: 100}, FIRST)

    async def supervised() -> bool:
        return instances.shim_lives(instances.read_status(scene.place.router_shim))

    await until(supervised)
    assert scene.router().pid == before.pid
    kill(before.pid)  # and its new supervisor notices its end, although it is no child

    async def another() -> bool:
        return scene.router().pid not in (None, before.pid)

    await until(another)


async def test_a_killed_guard_is_back_and_still_refuses_the_older(scene: Scene, old: Release, new: Release) -> None:
    await scene.platform.renew(scene.target, SECOND, None)
    kill(scene.guard().pid)
    with pytest.raises(DeployError) as caught:
        await scene.platform.shift(scene.target, {new.slug: 100}, FIRST)
    assert caught.value.code == "E_STALE_EPOCH"
    assert (await scene.platform.shift(scene.target, {new.slug: 100}, SECOND)).weights == {new.slug: 100}


async def test_the_timer_fires_although_the_guard_was_killed(scene: Scene, old: Release, new: Release) -> None:
    await scene.platform.shift(scene.target, {old.slug: 50, new.slug: 50}, FIRST, fallback={old.slug: 100}, lease_s=1.5)
    kill(scene.guard().pid)

    async def returned() -> bool:
        return (await scene.seen()).weights == {old.slug: 100}

    await until(returned)


async def test_a_guard_and_its_supervisor_killed_together_come_back_with_the_next_write(
    scene: Scene, old: Release, new: Release
) -> None:
    status = scene.guard()
    kill(status.shim)
    kill(status.pid)
    assert (await scene.seen()).weights == {old.slug: 100}  # users are served, and reading needs no guard
    assert (await scene.platform.shift(scene.target, {new.slug: 100}, FIRST)).weights == {new.slug: 100}


async def test_an_instance_that_dies_is_counted_and_started_again(scene: Scene, old: Release) -> None:
    victim = (await scene.instances(old.slug))[0]
    kill(victim.pid)

    async def counted() -> bool:
        return (await scene.seen()).restarts(old.slug) == 1

    await until(counted)

    async def ready() -> bool:
        return (await scene.seen()).ready(old.slug) == 2

    await until(ready)
    assert (await scene.seen()).restarts(old.slug) == 1


async def test_requests_of_a_dead_release_spill_over_to_the_proven_one(
    scene: Scene, old: Release, new: Release
) -> None:
    bad = await scene.release("v3.0.0", restart="never")
    await scene.platform.ensure(scene.target, bad, 2, FIRST)
    await scene.platform.shift(scene.target, {old.slug: 50, bad.slug: 50}, FIRST, spill_to=old.slug)
    for instance in await scene.instances(bad.slug):
        kill(instance.pid)

    async def dead() -> bool:
        return not any(i.alive for i in instances.scan(scene.place, bad.slug))

    await until(dead)  # a request that runs while its instance dies is lost, and that is honest
    answers = [await scene.platform.probe(scene.target, None, "/", fresh=True) for _ in range(60)]
    assert {(a.status, a.release) for a in answers} == {(200, old.slug)}
    seen = await scene.seen()
    assert seen.weights == {old.slug: 50, bad.slug: 50}
    assert seen.restarts(bad.slug) == 2
    # What fell over is counted under the release it was meant for.
    names = {(a.release, a.cluster) for a in scene.platform.probes(scene.target)}
    assert (old.slug, envoy.spill_name(bad.slug)) in names


async def test_dead_instances_are_replaced_by_ensure_and_stay_visible(scene: Scene, old: Release) -> None:
    mortal = await scene.release("v3.0.0", restart="never")
    await scene.platform.ensure(scene.target, mortal, 2, FIRST)
    kill((await scene.instances(mortal.slug))[0].pid)

    async def dead() -> bool:
        return (await scene.seen()).ready(mortal.slug) == 1

    await until(dead)
    await scene.platform.ensure(scene.target, mortal, 2, FIRST)
    seen = await scene.seen()
    assert (seen.ready(mortal.slug), seen.restarts(mortal.slug)) == (2, 1)
    await scene.platform.remove(scene.target, mortal.slug, FIRST)
    assert mortal.slug not in (await scene.seen()).releases


async def test_a_release_that_died_gets_no_weight(scene: Scene, old: Release) -> None:
    mortal = await scene.release("v3.0.0", restart="never")
    await scene.platform.ensure(scene.target, mortal, 1, FIRST)
    kill((await scene.instances(mortal.slug))[0].pid)

    async def dead() -> bool:
        return (await scene.seen()).ready(mortal.slug) == 0

    await until(dead)
    with pytest.raises(DeployError) as caught:
        await scene.platform.shift(scene.target, {mortal.slug: 100}, FIRST)
    assert caught.value.code == "E_WEIGHTS"
    assert (await scene.seen()).weights == {old.slug: 100}


async def test_where_the_timer_would_go_is_not_taken_away(scene: Scene, old: Release, new: Release) -> None:
    await scene.platform.shift(scene.target, {new.slug: 100}, FIRST, fallback={old.slug: 100}, lease_s=60)
    for call in (scene.platform.drain, scene.platform.remove):
        with pytest.raises(DeployError) as caught:
            await call(scene.target, old.slug, FIRST)
        assert caught.value.code == "E_WEIGHTS"
    assert (await scene.seen()).ready(old.slug) == 2


async def test_running_requests_end_before_their_instance(scene: Scene, old: Release) -> None:
    """The small service drops what it has at SIGTERM: only draining saves a request."""
    asked = [asyncio.create_task(scene.platform.probe(scene.target, None, "/slow?1.5", fresh=True)) for _ in range(8)]

    async def all_running() -> bool:
        return sum(i.in_flight for i in await scene.instances(old.slug)) == len(asked)

    await until(all_running)
    await scene.platform.ensure(scene.target, old, 1, FIRST)
    assert {answer.status for answer in await asyncio.gather(*asked)} == {200}
    assert (await scene.seen()).ready(old.slug) == 1


async def test_requests_that_take_too_long_are_cut_off_and_counted(scene: Scene, old: Release) -> None:
    hasty = await scene.release("v3.0.0", drain_s=0.3)
    await scene.platform.ensure(scene.target, hasty, 1, FIRST)
    endless = asyncio.create_task(scene.platform.probe(scene.target, hasty.slug, "/slow?60", fresh=True))

    async def running() -> bool:
        return (await scene.instances(hasty.slug))[0].in_flight == 1

    await until(running)
    assert await scene.platform.drain(scene.target, hasty.slug, FIRST) == 1
    await scene.platform.remove(scene.target, hasty.slug, FIRST)
    assert (await endless).status != 200


async def test_an_application_outlives_its_supervisor_and_gets_another(scene: Scene, old: Release) -> None:
    before = await scene.instances(old.slug)
    for instance in instances.scan(scene.place, old.slug):
        assert instance.status
        kill(instance.status.shim)
    assert (await scene.seen()).ready(old.slug) == 2
    await scene.platform.ensure(scene.target, old, 2, FIRST)
    assert [i.pid for i in await scene.instances(old.slug)] == [i.pid for i in before]

    async def supervised() -> bool:
        return all(i.supervised for i in instances.scan(scene.place, old.slug))

    await until(supervised)
    assert (await scene.seen()).restarts(old.slug) == 0


async def test_an_application_without_supervisor_is_stopped_all_the_same(scene: Scene, old: Release) -> None:
    extra = await scene.release("v2.0.0")
    await scene.platform.ensure(scene.target, extra, 1, FIRST)
    (instance,) = instances.scan(scene.place, extra.slug)
    assert instance.status
    kill(instance.status.shim)
    await scene.platform.remove(scene.target, extra.slug, FIRST)
    assert not instances.lives(instance.status)


async def test_what_an_older_owner_was_stopping_is_not_adopted(scene: Scene, old: Release, new: Release) -> None:
    """It may be stopped in the middle, and wake up and send the signal later."""
    before = instances.scan(scene.place, new.slug)
    router = Router(scene.place)
    await router.change(FIRST, lambda state: without_release(state, new.slug, [i.name for i in before]))
    await scene.another().ensure(scene.target, new, 2, SECOND)
    after = instances.scan(scene.place, new.slug)
    assert not {i.name for i in before} & {i.name for i in after}
    assert not any(instances.lives(i.status) for i in before)
    assert (await scene.seen()).ready(new.slug) == 2


async def test_two_writers_of_one_epoch_lose_nothing_of_each_other(scene: Scene, old: Release, new: Release) -> None:
    third = await scene.release("v3.0.0")
    one, two = scene.another(), scene.another()
    await asyncio.gather(
        one.ensure(scene.target, third, 1, FIRST),
        two.ensure(scene.target, new, 3, FIRST),
        *(two.shift(scene.target, {old.slug: 100 - w, new.slug: w}, FIRST) for w in (10, 20, 30)),
    )
    seen = await scene.seen()
    assert (seen.ready(third.slug), seen.ready(new.slug)) == (1, 3)
    assert seen.weights in [{old.slug: 100 - w, new.slug: w} for w in (10, 20, 30)]


async def test_files_the_router_refuses_are_taken_back(
    scene: Scene, old: Release, new: Release, monkeypatch: pytest.MonkeyPatch
) -> None:
    right = envoy.render

    def wrong(state: RouterState, **about: object) -> envoy.Files:
        files = right(state, **about)  # type: ignore[arg-type]
        if state.routes.weights == {new.slug: 100}:
            files[envoy.ROUTES] = files[envoy.ROUTES].replace(f'"name":"{new.slug}"', '"name":"nowhere"')
        return files

    monkeypatch.setattr(router_module.envoy, "render", wrong)
    with pytest.raises(DeployError) as caught:
        await scene.platform.shift(scene.target, {new.slug: 100}, FIRST)
    assert caught.value.code == "E_ROUTER_REJECTED"
    assert "unknown weighted cluster 'nowhere'" in caught.value.why
    assert (await scene.seen()).weights == {old.slug: 100}
    assert "nowhere" not in (scene.place.xds / envoy.ROUTES).read_text()
    before = scene.router().pid
    kill(before)  # the router starts from these files again

    async def back() -> bool:
        return scene.router().pid != before and (await scene.seen()).weights == {old.slug: 100}

    await until(back)


async def test_a_router_that_is_stopped_delays_no_write_and_loses_nothing(
    scene: Scene, old: Release, new: Release
) -> None:
    """SIGSTOP, as a machine under pressure would: what is to be in force waits for it on the disk."""
    pid = scene.router().pid
    kill(pid, signal.SIGSTOP)
    try:
        shifting = asyncio.create_task(scene.platform.shift(scene.target, {new.slug: 100}, FIRST))

        async def written() -> bool:
            return f'[{{"name":"{new.slug}","weight":100}}]' in (scene.place.xds / envoy.ROUTES).read_text()

        await until(written)
        assert not shifting.done()
    finally:
        kill(pid, signal.SIGCONT)
    assert (await shifting).weights == {new.slug: 100}


async def test_everything_killed_at_once_can_be_brought_back(scene: Scene, old: Release) -> None:
    """As after the machine's reboot: nothing lives, the files are there."""
    pids = [scene.router().shim, scene.guard().shim, scene.router().pid, scene.guard().pid]
    for instance in instances.scan(scene.place):
        assert instance.status
        pids += [instance.status.shim, instance.status.pid]
    for pid in pids:
        kill(pid)
    again = scene.another()
    seen = await again.observe(scene.target)
    assert (seen.weights, seen.ready(old.slug)) == (None, 0)
    await again.ensure(scene.target, old, 2, SECOND)
    seen = await again.shift(scene.target, {old.slug: 100}, SECOND)
    assert (seen.weights, seen.ready(old.slug)) == ({old.slug: 100}, 2)
    assert (await again.probe(scene.target, None, "/")).status == 200


def test_the_sockets_are_ours_alone(scene: Scene) -> None:
    async def modes() -> set[int]:
        await scene.serve(await scene.release("v1.0.0"), 1)
        return {os.stat(path).st_mode & 0o777 for path in (scene.place.admin, scene.place.guard, scene.place.token)}

    assert asyncio.get_event_loop().run_until_complete(modes()) == {0o600}
