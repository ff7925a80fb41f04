"""A run in the hands of this node: what it may write, and what can interrupt it.

Every write checks, in its own transaction, that the run still has our owner and epoch. What interrupts (an abort, a
lost lease) comes in from the runner and out of whichever verb is waiting.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from soc_deploy_mcp.core.errors import DeployError
from soc_deploy_mcp.core.event import Entry, Record
from soc_deploy_mcp.core.ids import Epoch, RunId
from soc_deploy_mcp.engine import signals
from soc_deploy_mcp.engine.clock import Clock
from soc_deploy_mcp.engine.context import Aborted, Lost, Taken
from soc_deploy_mcp.engine.journal import Journal
from soc_deploy_mcp.engine.lease import Lease
from soc_deploy_mcp.engine.runs import Run
from soc_deploy_mcp.engine.store import T, Tx

_UNWIND_S = 0.25  # what an interrupted effect gets to close its connections; the way back does not wait longer


@dataclass(frozen=True, slots=True)
class Seat:
    """What an execution has from its node."""

    node: str
    journal: Journal
    clock: Clock
    lease: Lease


class Hold:
    def __init__(self, seat: Seat, run: Run) -> None:
        self.seat = seat
        self.run: RunId = run.id
        self.epoch: Epoch = run.epoch
        self.returning = False  # on the way back
        self.broken: DeployError | None = None  # the journal failed us: this execution writes nothing more
        self._heeds_abort = True
        self.lost = False
        self._stop: asyncio.Future[BaseException] = asyncio.get_running_loop().create_future()
        self._news = asyncio.Event()

    # --- what the runner tells it

    def lose(self) -> None:
        """Somebody else holds the run, or we no longer know that we do."""
        self.lost = True
        if not self._stop.done():
            self._stop.set_result(Lost(self.run))
        self._news.set()

    def signalled(self, signal: Taken) -> None:
        if signal.name == signals.ABORT and self._heeds_abort and not self._stop.done():
            self._stop.set_result(Aborted(reason_of(signal), signal.by))
        self._news.set()

    def shield(self) -> None:
        """From here on abort changes nothing."""
        self._heeds_abort = False
        if not self.lost:
            self._stop = asyncio.get_running_loop().create_future()

    # --- writing

    async def write(self, work: Callable[[Tx], T], *, unwritten: Callable[[], T] | None = None) -> T:
        """One transaction in which the run is ours. Raises Lost, E_JOURNAL.

        `unwritten` is the answer on the way back when the journal cannot be written: traffic goes back without it.
        After one failure nothing more is written, also when there is room again: rows behind a gap would tell a
        replay that steps were done which are not recorded.
        """
        self.check()
        if self.broken is None:
            try:
                return await self._written(work)
            except DeployError as error:
                if error.code != "E_JOURNAL":
                    raise
                self.broken = error
        if unwritten is None or not self.returning:
            raise self.broken
        return unwritten()

    async def _written(self, work: Callable[[Tx], T]) -> T:

        def owned(tx: Tx) -> T:
            self._own(tx)
            return work(tx)

        try:
            return await self.seat.journal.store.tx(owned)
        except Aborted:
            self.shield()
            raise

    def append(self, tx: Tx, entry: Entry) -> Record:
        (record,) = self.seat.journal.append(tx, self.run, self.epoch, entry)
        return record

    def heed_abort(self, tx: Tx) -> None:
        """Looked up in the store, because it may have been sent to a process that died."""
        if self._heeds_abort and (abort := signals.abort_of(tx, self.run)):
            raise Aborted(reason_of(abort), abort.by)

    def check(self) -> None:
        """Raises Lost when the lease ran out by our own clock, without asking anybody."""
        if self.lost or self.seat.lease.left <= 0:
            raise Lost(self.run)

    def _own(self, tx: Tx) -> None:
        mine = tx.change(
            "update runs set updated_at=? where id=? and epoch=? and owner=? and ended_at is null",
            *(self.seat.journal.store.now(), self.run, self.epoch, self.seat.node),
        )
        if not mine:
            raise Lost(self.run)

    # --- waiting

    async def race(self, work: Awaitable[T], timeout: float | None) -> T:
        """The work's own end, unless an interruption comes first. Raises Aborted, Lost, TimeoutError."""
        task, stop = asyncio.ensure_future(work), self._stop
        task.add_done_callback(lambda ended: ended.cancelled() or ended.exception())
        try:
            either: set[asyncio.Future[Any]] = {task, stop}
            await asyncio.wait(either, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
            if task.cancelled():
                raise RuntimeError("it cancelled itself")
            if task.done():
                return task.result()
            self._interrupted()
            raise TimeoutError(f"not done after {timeout:g} s")
        finally:
            if task.cancel():
                await asyncio.wait({task}, timeout=_UNWIND_S)

    async def news(self, timeout: float, *, interrupts: bool = True) -> None:
        """Until something was said to the run, or so many seconds. Raises Aborted, Lost where it `interrupts`."""
        try:
            async with asyncio.timeout(max(0.0, timeout)):
                await self._news.wait()
        except TimeoutError:
            pass
        self._news.clear()
        if interrupts:
            self._interrupted()

    def _interrupted(self) -> None:
        if self.lost:
            raise Lost(self.run)
        if self._stop.done():
            why = self._stop.result()
            self.shield()
            raise why


def reason_of(signal: Taken) -> str:
    payload = signal.payload
    return str(payload.get("reason", "")) if isinstance(payload, dict) else ""
