"""The two routers of `bench.switch`, each with real instances of the example shop behind it.

A release is carried out in the steps that both products have: start the instances, wait until they answer well, send
the users there, let the old ones finish, stop them. `KamalProxy` runs and stops the instances itself, as Kamal does
around its proxy. Each process has a session of its own, as the platform's have: some kernels share the processor by
session.
"""

import asyncio
import os
import signal
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Protocol

from soc_deploy_mcp.core.ids import Epoch
from soc_deploy_mcp.core.release import Release
from soc_deploy_mcp.interfaces.cli.demo import repository
from soc_deploy_mcp.tools.local import http1
from tests.e2e.local.scene import Scene, a_scene
from tests.support.home import free_port

VERSIONS = ("v1.0.0", "v1.1.0")  # two good ones of the example shop; the first serves at the beginning
INSTANCES = 2  # of each version
LEASE_S = 15.0  # of the dead-man timer: the product's default
EPOCH = Epoch(1)
PATIENCE_S = 60.0
_LOOK_S = 0.01


class Router(Protocol):
    name: str

    @property
    def entry(self) -> str:
        """Where users come in, as a URL."""
        ...

    async def start(self, version: str) -> None:
        """Instances of `version` run and answered well; no user reaches them."""
        ...

    async def switch(self, version: str, old: str) -> None:
        """The command that sends all users to the started `version`."""
        ...

    async def release(self, version: str, old: str) -> None:
        """Both in one go: from the order to start the instances until all users are sent to them."""
        ...

    async def retire(self, version: str) -> None:
        """Running requests finish, then the instances of `version` end."""
        ...


class SocDeploy:
    """Ours: the verbs of the local platform, in the order and with the arguments of a blue-green release."""

    name = "soc-deploy"

    def __init__(self, scene: Scene, releases: dict[str, Release]) -> None:
        self._scene, self._releases = scene, releases

    @property
    def entry(self) -> str:
        return self._scene.entry

    async def start(self, version: str) -> None:
        await self._scene.platform.ensure(self._scene.target, self._releases[version], INSTANCES, EPOCH)

    async def switch(self, version: str, old: str) -> None:
        new, stable = self._releases[version].slug, self._releases[old].slug
        await self._scene.platform.shift(
            self._scene.target, {new: 100}, EPOCH, fallback={stable: 100}, lease_s=LEASE_S, spill_to=stable
        )

    async def release(self, version: str, old: str) -> None:
        await self.start(version)
        await self.switch(version, old)

    async def retire(self, version: str) -> None:
        platform, target, old = self._scene.platform, self._scene.target, self._releases[version].slug
        (serving,) = {r.slug for r in self._releases.values()} - {old}
        await platform.shift(target, {serving: 100}, EPOCH)  # proven: no timer and no spill-over any more
        await platform.drain(target, old, EPOCH)
        await platform.remove(target, old, EPOCH)

    async def first(self, version: str) -> None:
        await self._scene.serve(self._releases[version], INSTANCES, EPOCH)


@asynccontextmanager
async def soc_deploy(folder: Path) -> AsyncIterator[SocDeploy]:
    """On a state home of its own, its files in the new `folder`."""
    folder.mkdir()
    async with a_scene(folder) as scene:
        releases = {}
        for version in VERSIONS:
            path = laid_out(folder, version)
            command = (sys.executable, "server.py", "--port", "{port}")
            releases[version] = await scene.release_from(path, version, run=command, drain_s=30, grace_s=15)
        router = SocDeploy(scene, releases)
        await router.first(VERSIONS[0])
        yield router


class KamalProxy:
    """`kamal-proxy`, driven by its own command line."""

    name = "kamal-proxy"

    def __init__(self, binary: str, folder: Path) -> None:
        self._binary, self._folder = binary, folder
        self._port = free_port()
        self._environ = {"PATH": os.environ["PATH"], "HOME": str(folder), "XDG_RUNTIME_DIR": str(folder)}
        self._instances: dict[str, dict[int, asyncio.subprocess.Process]] = {}  # version -> port -> process
        self._proxy: asyncio.subprocess.Process | None = None
        self.listed_ms: list[float] = []  # what a command costs that changes nothing

    @property
    def entry(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    async def up(self) -> None:
        words = ("run", "--http-port", str(self._port), "--https-port", str(free_port()))
        with (self._folder / "proxy.log").open("wb") as log:
            self._proxy = await asyncio.create_subprocess_exec(
                self._binary, *words, env=self._environ, stdout=log, stderr=log, start_new_session=True
            )
        async with asyncio.timeout(PATIENCE_S):
            await _appears(self._folder / "kamal-proxy.sock")

    async def down(self) -> None:
        for version in list(self._instances):
            await self.retire(version)
        if self._proxy is not None:
            await _ended(self._proxy)

    async def start(self, version: str) -> None:
        await self._spawn(version)
        async with asyncio.timeout(PATIENCE_S):
            await asyncio.gather(*(_answers(port) for port in self._instances[version]))
        began = time.monotonic()
        await self.say("list")
        self.listed_ms.append((time.monotonic() - began) * 1000)

    async def switch(self, version: str, old: str) -> None:
        targets = [word for port in self._instances[version] for word in ("--target", f"127.0.0.1:{port}")]
        await self.say("deploy", "shop", *targets, "--health-check-path", "/healthz")

    async def release(self, version: str, old: str) -> None:
        await self._spawn(version)
        await self.switch(version, old)

    async def retire(self, version: str) -> None:
        await asyncio.gather(*map(_ended, self._instances.pop(version).values()))

    async def say(self, *words: str) -> None:
        """A command of its command line, to its end."""
        command = await asyncio.create_subprocess_exec(
            self._binary,
            *words,
            env=self._environ,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            start_new_session=True,
        )
        output, _ = await command.communicate()
        if command.returncode:
            raise RuntimeError(f"kamal-proxy {' '.join(words)}: {output.decode(errors='replace')}")

    async def _spawn(self, version: str) -> None:
        started = self._instances[version] = {}
        for port in (free_port() for _ in range(INSTANCES)):
            with (self._folder / f"{version}.log").open("ab") as log:
                command = (sys.executable, "server.py", "--port", str(port))
                started[port] = await asyncio.create_subprocess_exec(
                    *command, cwd=self._folder / version, stdout=log, stderr=log, start_new_session=True
                )


@asynccontextmanager
async def kamal_proxy(binary: str, folder: Path) -> AsyncIterator[KamalProxy]:
    """With all its files in the new `folder`."""
    folder.mkdir()
    for version in VERSIONS:
        laid_out(folder, version)
    router = KamalProxy(binary, folder)
    try:
        await router.up()
        await router.release(VERSIONS[0], "")
        yield router
    finally:
        await router.down()


def laid_out(folder: Path, version: str) -> Path:
    """The files of a version of the example shop."""
    path = folder / version
    path.mkdir()
    repository.lay_out(path, repository.catalogue()[version])
    return path


async def _appears(path: Path) -> None:
    while True:
        if path.exists():
            return
        await asyncio.sleep(_LOOK_S)


async def _answers(port: int) -> None:
    while True:
        try:
            if (await http1.request(("127.0.0.1", port), "GET", "/healthz", timeout=1.0)).status == 200:
                return
        except (OSError, TimeoutError, http1.BadAnswer):
            pass
        await asyncio.sleep(_LOOK_S)


async def _ended(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        process.send_signal(signal.SIGTERM)
    await process.wait()
