"""The fake that the actions' tests run on must behave like the real platforms."""

from pathlib import Path
from typing import Any

import pytest

from soc_deploy_mcp.core.config import ServiceSpec
from soc_deploy_mcp.core.platform import InstanceSeen
from soc_deploy_mcp.core.release import Artifact, Release, Target
from soc_deploy_mcp.engine.clock import SystemClock
from tests.contract.platform_contract import PlatformContract, World
from tests.fakes.platform import Behaviour, FakePlatform


def release(version: str, start_timeout_s: float = 10, **changes: Any) -> Release:
    settings = {"run": ["app", "{port}"], "health": {"start_timeout_s": start_timeout_s}}
    spec = ServiceSpec.model_validate(settings | changes)
    artifact = Artifact(kind="dir", source=f"/{version}", digest=version.ljust(64, "0"), provenance="a test")
    return Release(version=version, artifact=artifact, spec=spec)


class TestFakePlatform(PlatformContract):
    @pytest.fixture
    def world(self, tmp_path: Path) -> World:
        platform = FakePlatform(SystemClock())
        platform.behaviours["v3.0.0"] = Behaviour(never_ready=True)

        async def crash(instance: InstanceSeen) -> None:
            platform.crash(instance.release, instance.port)

        return World(
            platform=platform,
            target=Target(project=str(tmp_path), service="shop", environment="prod"),
            old=release("v1.0.0"),
            new=release("v2.0.0"),
            never_ready=release("v3.0.0", start_timeout_s=0.5),
            mortal=release("v4.0.0", restart="never", hold_s=1),
            crash=crash,
            again=lambda: platform,
        )
