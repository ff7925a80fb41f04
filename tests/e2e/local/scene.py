"""One target on a private state home, with releases of the small service, and everything stopped at the end."""

import asyncio
import os
import shutil
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from soc_deploy_mcp.core.config.service import DirArtifact, ServiceSpec
from soc_deploy_mcp.core.ids import Epoch, Slug
from soc_deploy_mcp.core.metrics import MetricsSource
from soc_deploy_mcp.core.platform import InstanceSeen, Observation
from soc_deploy_mcp.core.release import Release, Target
from soc_deploy_mcp.tools.local import LocalPlatform, artifacts
from soc_deploy_mcp.tools.local.instances import Status, read_status
from soc_deploy_mcp.tools.local.layout import Place
from tests.support.home import free_port, state_home

APP = Path(__file__).with_name("app.py")
LAST = Epoch(1_000_000)  # of whoever cleans up
SECRETS = {"env:PASSWORD": "p1anted-s3cret-value"}


def no_metrics(target: Target) -> MetricsSource:
    raise AssertionError("these tests have no metrics source")


@dataclass
class Scene:
    home: Path
    project: Path
    port: int = field(default_factory=free_port)

    def __post_init__(self) -> None:
        self.target = Target(project=str(self.project), service="shop", environment="prod")
        self.platform = self.another()
        self.place = Place.of(self.home, self.target)

    def another(self) -> LocalPlatform:
        """A new owner's platform on the same home."""
        return LocalPlatform(self.home, resolve=SECRETS.__getitem__, metrics=no_metrics)

    @property
    def entry(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def release(self, version: str, fault: str = "", **changes: Any) -> Release:
        """A version of the small service; `changes` are keys of the service's settings."""
        folder = self.project / version
        folder.mkdir(exist_ok=True)
        shutil.copy(APP, folder / "app.py")
        return await self.release_from(folder, version, env={"FAULT": fault}, **changes)

    async def release_from(self, folder: Path, version: str, **changes: Any) -> Release:
        settings: dict[str, Any] = {
            "artifact": {"dir": folder.name},
            "run": [sys.executable, "app.py", "{port}"],
            "listen": f"127.0.0.1:{self.port}",
            "health": {"start_timeout_s": 30},
            "drain_s": 5,
            "grace_s": 5,
        }
        spec = ServiceSpec.model_validate(settings | changes)
        artifact = await artifacts.resolve(DirArtifact(dir=folder.name), version, folder.parent)
        return Release(version=version, artifact=artifact, spec=spec)

    async def serve(self, release: Release, instances: int = 2, epoch: int = 1) -> Observation:
        await self.platform.ensure(self.target, release, instances, Epoch(epoch))
        return await self.platform.shift(self.target, {release.slug: 100}, Epoch(epoch))

    async def seen(self) -> Observation:
        return await self.platform.observe(self.target)

    async def instances(self, slug: Slug) -> tuple[InstanceSeen, ...]:
        return (await self.seen()).releases[slug].instances

    def router(self) -> Status:
        found = read_status(self.place.router_shim)
        assert found is not None
        return found

    def guard(self) -> Status:
        found = read_status(self.place.guard_shim)
        assert found is not None
        return found

    async def take_down(self) -> None:
        await self.another().take_down(self.target, LAST)


async def until(holds: Any, within_s: float = 30.0, every_s: float = 0.02) -> Any:
    """Polls an async callable; what it returned when that was true."""
    loop = asyncio.get_running_loop()
    end = loop.time() + within_s
    while not (found := await holds()):
        assert loop.time() < end, f"not so after {within_s} s"
        await asyncio.sleep(every_s)
    return found


def kill(pid: int | None, number: signal.Signals = signal.SIGKILL) -> None:
    assert pid
    os.kill(pid, number)


@asynccontextmanager
async def a_scene(folder: Path) -> AsyncIterator[Scene]:
    """At the end everything is stopped in order; what would be left fails the test."""
    with state_home() as home:
        scene = Scene(home, folder)
        try:
            yield scene
        finally:
            await scene.take_down()
