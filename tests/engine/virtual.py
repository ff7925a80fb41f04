"""Hours in milliseconds: an event loop whose time moves when nothing else is left to do, and clocks to turn."""

import asyncio
import selectors
from collections.abc import Coroutine
from typing import Any, TypeVar

from soc_deploy_mcp.core.ids import Instant

T = TypeVar("T")
_STUCK_S = 20.0  # real seconds without a job, a timer or an event: the program under test waits for nothing


class _Selector(selectors.DefaultSelector):
    """Waits for real only while a thread works for the loop; otherwise the time asked for is over at once."""

    loop: "VirtualLoop"

    def select(self, timeout: float | None = None) -> Any:
        if timeout == 0:
            return super().select(0)
        if self.loop.jobs or timeout is None:
            ready = super().select(_STUCK_S)
            if not ready and not self.loop.jobs:
                raise RuntimeError("nothing left to happen")
            return ready
        self.loop.passed += timeout
        return super().select(0)


class VirtualLoop(asyncio.SelectorEventLoop):
    def __init__(self) -> None:
        self.passed = 0.0
        self.jobs = 0
        selector = _Selector()
        selector.loop = self
        super().__init__(selector)

    def time(self) -> float:
        return self.passed

    def run_in_executor(self, executor: Any, func: Any, *args: Any) -> Any:
        self.jobs += 1
        future = super().run_in_executor(executor, func, *args)
        future.add_done_callback(self._job_done)
        return future

    def _job_done(self, _: Any) -> None:
        self.jobs -= 1


class VirtualClock:
    """Both clocks on the loop's time; `turn` steps the wall clock, `frozen` is what a stopped process sees."""

    def __init__(self, loop: asyncio.AbstractEventLoop, start: float = 1_700_000_000.0) -> None:
        self._loop = loop
        self._wall = start

    def wall(self) -> Instant:
        return Instant(self._wall + self._loop.time())

    def monotonic(self) -> float:
        return self._loop.time()

    def turn(self, seconds: float) -> None:
        self._wall += seconds


def run_virtual(main: Coroutine[Any, Any, T]) -> T:
    loop = VirtualLoop()
    try:
        return loop.run_until_complete(main)
    finally:
        for task in asyncio.all_tasks(loop):
            task.cancel()
        loop.run_until_complete(_settle())
        loop.close()


async def _settle() -> None:
    others = asyncio.all_tasks() - {asyncio.current_task()}
    await asyncio.gather(*others, return_exceptions=True)
