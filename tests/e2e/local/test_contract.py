"""The local platform keeps the contract of all platforms, with real processes and a real router."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from soc_deploy_mcp.core.platform import InstanceSeen
from tests.contract.platform_contract import PlatformContract, World
from tests.e2e.local.scene import a_scene, kill


class TestLocalPlatform(PlatformContract):
    @pytest.fixture
    async def world(self, tmp_path: Path) -> AsyncIterator[World]:
        async def crash(instance: InstanceSeen) -> None:
            kill(instance.pid)

        async with a_scene(tmp_path) as scene:
            yield World(
                platform=scene.platform,
                target=scene.target,
                old=await scene.release("v1.0.0"),
                new=await scene.release("v2.0.0"),
                never_ready=await scene.release("v3.0.0", "unready", health={"start_timeout_s": 1}),
                mortal=await scene.release("v4.0.0", restart="never", hold_s=1),
                crash=crash,
                again=scene.another,
            )
