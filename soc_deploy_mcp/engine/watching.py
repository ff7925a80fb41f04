"""What a long observation may do while it runs: one checkpoint row, facts, and orders."""

import json
from dataclasses import dataclass

from soc_deploy_mcp.core.canonical import canonical
from soc_deploy_mcp.core.event import Entry, Payload
from soc_deploy_mcp.core.ids import Epoch, Instant, RunId, StepKey
from soc_deploy_mcp.engine import signals
from soc_deploy_mcp.engine.context import Json, Taken
from soc_deploy_mcp.engine.hold import Hold
from soc_deploy_mcp.engine.store import Tx


@dataclass(frozen=True, slots=True)
class Saved:
    state: Json
    at: float


class Watch:
    """`Watching` for one step."""

    def __init__(self, hold: Hold, key: StepKey, started_at: Instant, saved: Saved | None) -> None:
        self._hold = hold
        self._key = key
        self._started_at = started_at
        self._checkpoint = saved.state if saved else None
        # Never behind what an earlier owner saw: what it kept is no word from the future.
        self._wall = max(hold.seat.journal.store.now(), started_at, saved.at if saved else 0.0)
        self._steady = hold.seat.clock.monotonic()

    @property
    def epoch(self) -> Epoch:
        return self._hold.epoch

    @property
    def started_at(self) -> Instant:
        return self._started_at

    @property
    def checkpoint(self) -> Json | None:
        return self._checkpoint

    def now(self) -> Instant:
        """What the calendar said when this process began to watch, and the steady clock since then: a calendar that
        is turned meanwhile ends no observation and prolongs none."""
        return Instant(self._wall + self._hold.seat.clock.monotonic() - self._steady)

    async def save(self, state: Json) -> None:
        text = canonical(state).decode()
        run, key = self._hold.run, self._key

        def write(tx: Tx) -> None:
            tx.change(
                "insert into checkpoints(run, key, at, state) values(?, ?, ?, ?) "
                "on conflict(run, key) do update set at=excluded.at, state=excluded.state",
                *(run, key, self.now(), text),
            )
            signals.keep(tx, run, key)

        await self._hold.write(write, unwritten=lambda: None)
        self._checkpoint = json.loads(text)

    async def emit(self, event: Payload, key: str = "") -> None:
        await self._hold.write(lambda tx: self._hold.append(tx, event.entry(key)), unwritten=lambda: None)

    async def pause(self, seconds: float) -> None:
        await self._hold.news(seconds, interrupts=False)  # an abort cancels the whole watch, from outside

    async def take(self, *names: str) -> Taken | None:
        run, key = self._hold.run, self._key

        def look(tx: Tx) -> Taken | None:
            taken = signals.take(tx, run, names, key, held=True)
            if taken is not None:
                fields = {"type": "taken", "name": taken.name, "payload": taken.payload, "by": taken.by}
                self._hold.append(tx, Entry(kind="signal", key=key, payload=fields))
            return taken

        return await self._hold.write(look, unwritten=lambda: None)


def start(tx: Tx, run: RunId, key: StepKey) -> None:
    """A watch begins, perhaps again: what it took and did not save is there to be taken once more."""
    signals.give_back(tx, run, key)


def end(tx: Tx, run: RunId, key: StepKey) -> None:
    tx.change("delete from checkpoints where run=? and key=?", run, key)


async def saved(hold: Hold, key: StepKey) -> Saved | None:
    query = "select state, at from checkpoints where run=? and key=?"
    row = await hold.seat.journal.store.read(lambda tx: tx.one(query, hold.run, key))
    return None if row is None else Saved(json.loads(row["state"]), row["at"])
