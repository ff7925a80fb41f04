"""A router that was killed is silent for a moment and back by itself. Nobody but the router is blamed for that."""

import asyncio
from pathlib import Path

import pytest

from soc_deploy_mcp.core.config import STRATEGIES, Strategy
from soc_deploy_mcp.core.event import State
from tests.actions.deploy import kill_stories as stories
from tests.actions.deploy.kill_stories import Story
from tests.actions.deploy.kills import Reach
from tests.actions.deploy.test_kill import played

SILENT_S, EVERY_S = 1.0, 4.0


def silenced(story: Story, first_s: float) -> Story:
    """The same, while the router is killed again and again."""

    async def kill_the_router(reach: Reach) -> None:
        await reach.until(lambda run: run.state is State.RUNNING)
        await asyncio.sleep(first_s)
        while True:
            reach.world.platform.router_up = False
            await asyncio.sleep(SILENT_S)
            reach.world.platform.router_up = True
            await asyncio.sleep(EVERY_S - SILENT_S)

    return Story(story.name, story.build, story.ends, kill_the_router)


@pytest.mark.parametrize("make", [stories.good, stories.bad])
@pytest.mark.parametrize("strategy", STRATEGIES)
def test_a_router_that_is_killed_again_and_again_changes_no_end(
    tmp_path: Path, strategy: Strategy, make: stories.Make
) -> None:
    for half_seconds in range(0, 8, 2):
        story = silenced(make(strategy), half_seconds / 2)
        ended = played(story, tmp_path / f"{half_seconds}.db")
        assert ended.state is story.ends
