"""Applications that do not start as they should: the error says what happened, and users never meet them."""

import asyncio
import socket
import sys
from pathlib import Path

import pytest

from soc_deploy_mcp.core.errors import DeployError
from soc_deploy_mcp.core.ids import Epoch
from soc_deploy_mcp.core.release import Release
from soc_deploy_mcp.tools.local import instances, ports, proc
from tests.e2e.local.scene import SECRETS, Scene, until
from tests.support.processes import running_below

FIRST = Epoch(1)


async def failure(scene: Scene, release: Release, instances: int = 1) -> DeployError:
    with pytest.raises(DeployError) as caught:
        await scene.platform.ensure(scene.target, release, instances, FIRST)
    return caught.value


async def test_what_ends_at_its_start_is_quoted_without_its_secrets(scene: Scene) -> None:
    error = await failure(scene, await scene.release("v1.0.0", "exits", secrets={"PASSWORD": "env:PASSWORD"}))
    assert error.code == "E_EXITED_AT_START"
    assert "exit code 3" in error.what
    assert "the configuration makes no sense" in error.why
    assert SECRETS["env:PASSWORD"] not in str(error.to_json())


async def test_a_program_that_does_not_exist_is_named(scene: Scene) -> None:
    error = await failure(scene, await scene.release("v1.0.0", run=["bin/nothing", "{port}"]))
    assert error.code == "E_EXITED_AT_START"
    assert "bin/nothing: No such file" in error.what


async def test_what_never_answers_says_what_was_seen_last(scene: Scene) -> None:
    unready = await failure(scene, await scene.release("v1.0.0", "unready", health={"start_timeout_s": 1.5}))
    assert (unready.code, "status 503" in unready.what) == ("E_START_TIMEOUT", True)
    silent = await failure(scene, await scene.release("v2.0.0", "silent", health={"start_timeout_s": 1.5}))
    assert (silent.code, "connection refused" in silent.what) == ("E_START_TIMEOUT", True)


async def test_a_failed_start_leaves_no_process_and_another_release_serves_on(scene: Scene) -> None:
    good = await scene.release("v1.0.0")
    await scene.serve(good)
    before = set(running_below(scene.home))
    await failure(scene, await scene.release("v2.0.0", "silent", health={"start_timeout_s": 1}), 2)
    assert set(running_below(scene.home)) <= before
    assert (await scene.platform.probe(scene.target, None, "/")).release == good.slug


async def test_a_stranger_on_the_port_is_not_taken_for_the_release(scene: Scene) -> None:
    """The application never listens, but something answers well on its port."""
    release = await scene.release("v1.0.0", "silent")

    async def ordered() -> list[instances.Instance]:
        return instances.scan(scene.place, release.slug)

    starting = asyncio.create_task(failure(scene, release))
    (instance,) = await until(ordered)
    stranger = await asyncio.create_subprocess_exec(
        sys.executable, "app.py", str(instance.port), cwd=scene.project / "v1.0.0", env={"VERSION": "old"}
    )
    try:
        error = await starting
        assert error.code == "E_PORT_NOT_OWNED"
        assert f"pid {stranger.pid}" in error.what
    finally:
        stranger.kill()
        await stranger.wait()


async def test_a_port_somebody_listens_on_is_not_given_to_an_instance(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    await scene.serve(await scene.release("v1.0.0"), 1)
    with socket.socket() as stale:
        stale.bind(("127.0.0.1", 0))
        stale.listen()
        taken = stale.getsockname()[1]
        monkeypatch.setattr(ports, "INSTANCE_PORTS", range(taken, taken + 1))
        assert (await failure(scene, await scene.release("v2.0.0"))).code == "E_NO_PORT"


async def test_what_ignores_sigterm_is_killed_after_its_grace(scene: Scene) -> None:
    stubborn = await scene.release("v1.0.0", "stubborn", grace_s=0.5)
    await scene.platform.ensure(scene.target, stubborn, 1, FIRST)
    (instance,) = await scene.instances(stubborn.slug)
    await scene.platform.remove(scene.target, stubborn.slug, FIRST)
    assert instance.pid
    assert proc.stat(instance.pid) is None


async def test_workers_in_a_group_of_their_own_do_not_outlive_the_release(scene: Scene) -> None:
    forking = await scene.release("v1.0.0", "forks")
    await scene.platform.ensure(scene.target, forking, 1, FIRST)
    (instance,) = await scene.instances(forking.slug)
    assert instance.pid
    assert len(proc.sessions([instance.pid])[instance.pid]) == 2
    await scene.platform.remove(scene.target, forking.slug, FIRST)
    assert proc.sessions([instance.pid])[instance.pid] == []


async def test_the_entry_of_somebody_else_is_not_shared(scene: Scene) -> None:
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)  # Envoy could share it
        other.bind(("127.0.0.1", scene.port))
        other.listen()
        error = await failure(scene, await scene.release("v1.0.0"))
    assert error.code == "E_LISTEN_IN_USE"
    assert "pid" in error.what


async def test_the_entry_does_not_move_while_it_serves(scene: Scene) -> None:
    await scene.serve(await scene.release("v1.0.0"), 1)
    error = await failure(scene, await scene.release("v2.0.0", listen=f"127.0.0.1:{scene.port + 1}"))
    assert (error.code, str(scene.port) in error.try_) == ("E_CONFIG", True)


async def test_a_missing_secret_stops_the_start(scene: Scene) -> None:
    scene.platform._resolve = _unresolved  # what the composition root injects
    error = await failure(scene, await scene.release("v1.0.0", secrets={"PASSWORD": "env:PASSWORD"}))
    assert error.code == "E_SECRET_UNRESOLVED"
    assert not instances.scan(scene.place)


def _unresolved(reference: str) -> str:
    raise DeployError("E_SECRET_UNRESOLVED", f"{reference} leads to nothing")


async def test_a_secret_arrives_and_is_nowhere_else(scene: Scene) -> None:
    release = await scene.release("v1.0.0", secrets={"PASSWORD": "env:PASSWORD"})
    await scene.serve(release)
    value = SECRETS["env:PASSWORD"]
    assert (await scene.platform.probe(scene.target, release.slug, "/env?PASSWORD")).body == value
    await scene.platform.probe(scene.target, release.slug, "/crash")  # the supervisor starts it again, from memory

    async def again() -> bool:
        return (await scene.seen()).ready(release.slug) == 2

    await until(again)
    for file in scene.home.rglob("*"):
        if file.is_file() and not file.name.startswith("envoy-"):
            assert value.encode() not in file.read_bytes(), file
    for pid in running_below(scene.home):
        assert value not in Path(f"/proc/{pid}/cmdline").read_text()
    assert value not in str(await scene.seen())
