"""Keeps the dead-man timer beside the router while this process carries a rollout. It dies with the process: then the
timer lapses and the router side returns the traffic by itself."""

import asyncio
import contextlib
from types import TracebackType
from typing import Self

from soc_deploy_mcp.core.errors import DeployError
from soc_deploy_mcp.core.ids import Epoch
from soc_deploy_mcp.core.platform import Platform
from soc_deploy_mcp.core.release import Target

BEATS_A_LEASE = 5


class Beat:
    """`async with Beat(...) as beat`: off at first; `on()` renews five times a lease, `off()` stops renewing.

    A renewal that fails is tried again at the next beat: whether the timer lapsed is seen by whoever observes.
    """

    def __init__(self, platform: Platform, target: Target, epoch: Epoch, lease_s: float) -> None:
        self._platform, self._target, self._epoch, self._lease_s = platform, target, epoch, lease_s
        self._task: asyncio.Task[None] | None = None

    def on(self) -> None:
        if self._task is None:
            self._task = asyncio.create_task(self._renewing(), name="dead-man beat")

    async def off(self) -> None:
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

    async def _renewing(self) -> None:
        while True:
            await asyncio.sleep(self._lease_s / BEATS_A_LEASE)
            try:
                await self._platform.renew(self._target, self._epoch, self._lease_s)
            except Exception as error:  # whatever it was: without the next beat the timer returns the traffic
                if isinstance(error, DeployError) and error.code == "E_STALE_EPOCH":
                    return  # a newer owner renews now

    async def __aenter__(self) -> Self:
        """Take the target over: the first write of a new owner, from which on an older one is refused.

        Not a step of the program: it changes nothing that users or the report could notice, and a replay must come
        to where the rollout was before anything, an abort too, is decided.
        """
        with contextlib.suppress(Exception):  # every effect carries the epoch; the first one that works fences too
            seen = await self._platform.observe(self._target)
            if not seen.epoch:
                return self  # nobody has ever written there
            await self._platform.renew(self._target, self._epoch, self._lease_s if seen.dead_man.armed else None)
        return self

    async def __aexit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        await self.off()
