"""An owner that can be killed or stopped at any moment: `python -m tests.e2e.local.owner HOME PROJECT PORT EPOCH WHAT`.

Says on standard output where it is, and the code of the error that ended it. `canary`: half of the users on v2.0.0
with a dead-man timer that it renews. `flap`: changes the weights as fast as it can. `walk`: deploys v1.0.0 and v2.0.0
in turn, for ever.
"""

import asyncio
import sys
from pathlib import Path

from soc_deploy_mcp.core.errors import DeployError
from soc_deploy_mcp.core.ids import Epoch
from soc_deploy_mcp.core.release import Release
from tests.e2e.local.scene import Scene

LEASE_S = 2.0


def say(word: str) -> None:
    print(word, flush=True)


class Owner:
    def __init__(self, scene: Scene, epoch: Epoch) -> None:
        self.scene, self.epoch = scene, epoch
        self.platform, self.target = scene.platform, scene.target

    async def releases(self) -> tuple[Release, Release]:
        return await self.scene.release("v1.0.0"), await self.scene.release("v2.0.0")

    async def both(self) -> tuple[Release, Release]:
        old, new = await self.releases()
        await self.scene.serve(old, 2, self.epoch)
        await self.platform.ensure(self.target, new, 2, self.epoch)
        return old, new

    async def split(self, old: Release, new: Release, share: int) -> None:
        weights = {old.slug: 100 - share, new.slug: share}
        fallback = {old.slug: 100}
        await self.platform.shift(
            self.target, weights, self.epoch, fallback=fallback, lease_s=LEASE_S, spill_to=old.slug
        )

    async def canary(self) -> None:
        old, new = await self.both()
        await self.split(old, new, 50)
        say("canary")
        while True:
            await asyncio.sleep(0.1)
            await self.platform.renew(self.target, self.epoch, LEASE_S)

    async def flap(self) -> None:
        old, new = await self.both()
        say("flap")
        while True:
            for share in (10, 20, 30):
                await self.split(old, new, share)

    async def walk(self) -> None:
        old, new = await self.releases()
        await self.scene.serve(old, 2, self.epoch)
        say("walk")
        while True:
            await self.platform.ensure(self.target, new, 2, self.epoch)
            await self.split(old, new, 50)
            await self.platform.shift(self.target, {new.slug: 100}, self.epoch)
            await self.platform.drain(self.target, old.slug, self.epoch)
            await self.platform.remove(self.target, old.slug, self.epoch)
            old, new = new, old


async def main(home: str, project: str, port: str, epoch: str, what: str) -> None:
    owner = Owner(Scene(Path(home), Path(project), int(port)), Epoch(int(epoch)))
    try:
        await getattr(owner, what)()
    except DeployError as error:
        say(error.code)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
