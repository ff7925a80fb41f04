"""The two clocks of a machine, as one thing that tests can turn."""

import time
from typing import Protocol

from soc_deploy_mcp.core.ids import Instant


class Clock(Protocol):
    def wall(self) -> Instant:
        """What the calendar says. May step, also backwards."""
        ...

    def monotonic(self) -> float:
        """Seconds since some moment. Never steps; used for every duration."""
        ...


class SystemClock:
    """The machine's own. Time in which it slept counts: a lease runs out while a laptop is shut."""

    def wall(self) -> Instant:
        return Instant(time.time())

    def monotonic(self) -> float:
        return time.clock_gettime(_STEADY)


_STEADY: int = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
