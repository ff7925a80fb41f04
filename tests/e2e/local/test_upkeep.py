"""What the platform does beside the protocol: looking ahead, logs, pruning, taking a target down."""

import pytest

from soc_deploy_mcp.core.errors import DeployError
from soc_deploy_mcp.core.ids import Epoch
from soc_deploy_mcp.tools.local import preflight
from tests.e2e.local.scene import SECRETS, Scene
from tests.support.processes import assert_nothing_left

FIRST = Epoch(1)


async def test_the_targets_own_router_is_no_obstacle_and_anybody_elses_is(scene: Scene) -> None:
    release = await scene.release("v1.0.0")
    await scene.serve(release, 1)
    figures = {e.subject: e.figure for e in await scene.platform.inspect(scene.target, release.spec)}
    assert figures["entry"].endswith("served by our router")
    with pytest.raises(DeployError) as caught:
        await preflight.inspect(release.spec, scene.home)
    assert caught.value.code == "E_LISTEN_IN_USE"
    assert "another target of soc-deploy" in caught.value.what


async def test_nothing_is_started_by_looking(scene: Scene) -> None:
    release = await scene.release("v1.0.0")
    await scene.platform.inspect(scene.target, release.spec)
    await scene.seen()
    await scene.platform.probe(scene.target, None, "/")
    assert not scene.place.root.exists()


async def test_logs_are_those_of_each_instance(scene: Scene) -> None:
    release = await scene.release("v1.0.0")
    await scene.serve(release, 2)
    logs = scene.platform.logs(scene.target)
    assert {(slug, text) for _, slug, text in logs} == {(release.slug, "listening")}
    assert [name for name, _, _ in logs] == [i.name for i in await scene.instances(release.slug)]


async def test_the_logs_of_a_release_outlive_its_instances_and_its_successor(scene: Scene) -> None:
    bad, good = await scene.release("v1.0.0"), await scene.release("v1.1.0")
    await scene.platform.ensure(scene.target, bad, 1, FIRST)
    await scene.platform.remove(scene.target, bad.slug, FIRST)
    await scene.serve(good, 1)
    assert {slug for _, slug, _ in scene.platform.logs(scene.target)} == {good.slug}
    ((_, slug, text),) = scene.platform.logs(scene.target, 100, bad.slug)
    assert slug == bad.slug
    assert text.startswith("listening")


async def test_a_release_can_be_prepared_before_its_first_instance(scene: Scene) -> None:
    release = await scene.release("v1.0.0", secrets={"PASSWORD": "env:PASSWORD"})
    assert not scene.platform.retrievable(scene.target, release.slug)
    directory = await scene.platform.seal(scene.target, release)
    assert (directory / "app.py").exists()
    assert scene.platform.retrievable(scene.target, release.slug)
    assert scene.platform.environment(release)["PASSWORD"] == SECRETS["env:PASSWORD"]


async def test_pruning_spares_what_serves_what_runs_and_what_is_pinned(scene: Scene) -> None:
    releases = [await scene.release(f"v{n}.0.0") for n in range(1, 6)]
    gone, pinned, running, serving, newest = releases
    await scene.serve(serving, 1)
    await scene.platform.ensure(scene.target, running, 1, FIRST)
    for release in (gone, pinned, newest):
        await scene.platform.seal(scene.target, release)
    assert await scene.platform.prune(scene.target, 1, [pinned.slug]) == (gone.slug,)
    kept = [r for r in releases if scene.platform.retrievable(scene.target, r.slug)]
    assert kept == [pinned, running, serving, newest]


async def test_a_target_that_was_taken_down_is_empty_and_can_be_used_again(scene: Scene) -> None:
    release = await scene.release("v1.0.0")
    await scene.serve(release)
    await scene.platform.take_down(scene.target, FIRST)
    assert_nothing_left(scene.home)
    seen = await scene.seen()
    assert (seen.releases, seen.mode, seen.router.split()[-1]) == ({}, "down", "down")
    await scene.serve(release, epoch=2)
    assert (await scene.platform.probe(scene.target, None, "/")).release == release.slug


async def test_an_older_owner_takes_nothing_down(scene: Scene) -> None:
    release = await scene.release("v1.0.0")
    await scene.serve(release, 1, epoch=2)
    with pytest.raises(DeployError) as caught:
        await scene.platform.take_down(scene.target, FIRST)
    assert caught.value.code == "E_STALE_EPOCH"
    assert (await scene.seen()).ready(release.slug) == 1
