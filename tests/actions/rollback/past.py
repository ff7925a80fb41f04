"""A target with a past: what was deployed on it and gone back from, and a rollback that is asked for now."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from soc_deploy_mcp.actions.deploy.migrations import Applied
from soc_deploy_mcp.actions.deploy.readers import Gathered
from soc_deploy_mcp.actions.rollback.gather import gather
from soc_deploy_mcp.core.config import Settings, Strategy
from soc_deploy_mcp.core.ids import Epoch
from soc_deploy_mcp.core.release import Release
from soc_deploy_mcp.core.request import Request
from tests.actions.deploy.scene import settings, target
from tests.engine.virtual import VirtualClock, run_virtual
from tests.fakes.platform import FakePlatform
from tests.fakes.readers import FINISHED, FakeReaders, release

T = TypeVar("T")
SETTINGS = settings()


class Past:
    """`deployed` and `gone_back` leave what a run leaves: rows in the journal, instances, weights."""

    def __init__(self, platform: FakePlatform, made: Settings = SETTINGS) -> None:
        self.platform, self.settings = platform, made
        self.readers = FakeReaders(platform)
        self.serving: Release | None = None

    def release(self, version: str) -> Release:
        return release(version, self.settings.spec)

    async def deployed(self, version: str) -> Release:
        """It serves everybody and is stable; the one before is stopped."""
        new, old = self.release(version), self.serving
        self.readers.happened(new, *FINISHED)
        await self._serve(new)
        if old is not None and old.slug != new.slug:
            self.readers.happened(old, "retired")
            await self.platform.remove(target(), old.slug, Epoch(0))
        return new

    async def gone_back(self, version: str) -> None:
        """By hand, from what serves to `version`."""
        old, new = self.serving, self.release(version)
        assert old is not None
        await self._serve(new)
        self.readers.happened(new, "live", "active")
        self.readers.happened(old, "retired")
        self.readers.happened(old, "quarantined", why="rolled back from by hand")
        await self.platform.remove(target(), old.slug, Epoch(0))

    async def kept_hot(self, version: str) -> Release:
        """Its instances run, without traffic."""
        hot = self.release(version)
        await self.platform.ensure(target(), hot, hot.spec.instances, Epoch(0))
        return hot

    async def _serve(self, new: Release) -> None:
        await self.platform.ensure(target(), new, new.spec.instances, Epoch(0))
        await self.platform.shift(target(), {new.slug: 100}, Epoch(0))
        self.serving = new

    def applied(self, id_: str, class_: str, after: str) -> None:
        """A migration that ran a moment after a version became stable."""
        at = self.readers.at(after, "stable") + 1
        self.readers.applied[id_] = Applied(id_, class_, "sum", type(self.readers.now())(at))

    async def gathered(self, version: str | None = None, **how: Any) -> Gathered:
        return await gather(asked(version, **how), self.settings, target(), self.readers)


def asked(version: str | None = None, strategy: Strategy | None = None, **how: Any) -> Request:
    return Request(action="rollback", environment="prod", version=version, strategy=strategy, **how)


def in_the_past(story: Callable[[Past], Awaitable[T]], made: Settings = SETTINGS) -> T:
    """Run a story on virtual time."""

    async def main() -> T:
        clock = VirtualClock(asyncio.get_running_loop())
        return await story(Past(FakePlatform(clock), made))

    return run_virtual(main())
