"""A store that dies at a chosen transaction, before or after it is durable, with the process that holds it."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from soc_deploy_mcp.core.ids import Instant
from soc_deploy_mcp.engine.store import T, Tx
from tests.engine.builders import Node


class KillingStore:
    """The n-th transaction (from 1) is the last one: `before` it nothing of it is kept, `after` it all of it is."""

    def __init__(self, inner: Any, at: int | None = None, phase: str = "before") -> None:
        self.inner, self.at, self.phase = inner, at, phase
        self.count = 0
        self.dead = asyncio.Event()

    async def tx(self, work: Callable[[Tx], T]) -> T:
        self.count += 1
        if self.dead.is_set() or (self.count == self.at and self.phase == "before"):
            await self._die()
        result: T = await self.inner.tx(work)
        if self.count == self.at and self.phase == "after":
            await self._die()
        return result

    async def _die(self) -> None:
        self.dead.set()
        await asyncio.Event().wait()

    async def read(self, work: Callable[[Tx], T]) -> T:
        if self.dead.is_set():
            await self._die()
        result: T = await self.inner.read(work)
        return result

    async def watch(self, wake: Callable[[], Awaitable[None]]) -> None:
        await self.inner.watch(wake)

    async def room(self) -> None:
        await self.inner.room()

    def now(self) -> Instant:
        at: Instant = self.inner.now()
        return at


async def killed(node: Node) -> None:
    """What SIGKILL leaves: no task of the node runs on, and it wrote nothing more."""
    tasks = tuple(node.runner._tasks)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
