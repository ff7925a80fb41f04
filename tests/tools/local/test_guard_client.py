"""What whoever talks to the guard is told when nobody listens."""

from pathlib import Path

import pytest

from soc_deploy_mcp.core.errors import DeployError
from soc_deploy_mcp.tools.local.guard_client import GuardClient


async def test_a_guard_that_is_gone_is_an_error_that_people_and_the_way_back_know(tmp_path: Path) -> None:
    """As an error of its own kind it came out of the platform as a defect, and the way back gave up at once."""
    with pytest.raises(DeployError) as caught:
        await GuardClient(tmp_path / "guard.sock").status()
    assert caught.value.code == "E_ROUTER_DOWN"
