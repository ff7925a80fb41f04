"""A moment to wait for, by both clocks."""

from soc_deploy_mcp.core.ids import Instant
from soc_deploy_mcp.engine.hold import Hold

_GLANCE_S = 1.0  # how often the way back looks at the wall clock, which nobody announces to have moved


class Deadline:
    """`at` is the wall clock's time: it survives restarts. While this process lives the steady clock counts, so that
    a calendar that is turned moves nothing; on the way back the earlier of the two wins."""

    def __init__(self, hold: Hold, at: Instant, seconds: float) -> None:
        self._hold = hold
        self._at = at
        self._steady = hold.seat.clock.monotonic() + min(max(0.0, self._by_wall()), seconds)

    @property
    def left(self) -> float:
        """Seconds; zero or less: it is over."""
        steady = self._steady - self._hold.seat.clock.monotonic()
        return min(steady, self._by_wall()) if self._hold.returning else steady

    async def news(self) -> None:
        """Until something was said to the run, or perhaps it is over. Raises Aborted, Lost."""
        await self._hold.news(min(self.left, _GLANCE_S) if self._hold.returning else self.left)

    def _by_wall(self) -> float:
        return self._at - self._hold.seat.journal.store.now()
