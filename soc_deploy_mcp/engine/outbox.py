"""Messages to people: kept in the transaction that recorded their event, sent until somebody has them.

At least once: a receiver that wants each once compares idempotency keys.
"""

import asyncio
import json
import random
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from typing import Literal

from soc_deploy_mcp.core.canonical import canonical
from soc_deploy_mcp.core.errors import DeployError
from soc_deploy_mcp.core.event import Entry, Notified, Record
from soc_deploy_mcp.core.ids import Instant, RunId
from soc_deploy_mcp.core.model import Noun
from soc_deploy_mcp.engine import runs
from soc_deploy_mcp.engine.context import Json
from soc_deploy_mcp.engine.journal import Journal
from soc_deploy_mcp.engine.runs import Run
from soc_deploy_mcp.engine.store import Row, Tx

BACK_OFF_S = (1.0, 5.0, 30.0, 120.0, 600.0)
_THEN_S, _GIVE_UP_S = 3600.0, 86_400.0
_SENDING_S = 60.0  # a sender that says nothing for so long is dead; the message is tried again
_JITTER = 0.2  # share of the delay, so that a service that comes back is not met by everybody at once


class Message(Noun):
    """One message to one channel. `again` tells messages of one event apart where a run may send several."""

    event: str  # started, paused, rolled_back, …
    channel: str  # a name of the project's configuration
    label: str = ""  # how people call the channel
    body: Json
    again: str = ""
    not_before: Instant | None = None  # None: at once


class Outgoing(Noun):
    """What the sender gets. Sending it twice must do no harm beyond a second message."""

    run: RunId
    event: str
    channel: str
    body: Json
    idempotency_key: str


class Refused(Exception):
    """The receiver will never take it: an address that does not exist, a request it calls wrong."""


class Later(Exception):
    """It did not get through. `after_s` is what the receiver asked for."""

    def __init__(self, why: str, after_s: float | None = None) -> None:
        super().__init__(why)
        self.after_s = after_s


Send = Callable[[Outgoing], Awaitable[str]]  # returns the receipt: "HTTP 200"
Announce = Callable[[Run, Record], Iterable[Message]]

# rows that nobody is told of; the others are shown to `announce`
_SILENT = frozenset({"intent", "observed", "lease", "signal", "notify", "evidence", "check", "verdict", "lineage"})


class Outbox:
    """`keep` goes to the journal's `follow`; `run` is a task of the process that sends.

    `announce` is pure: which messages follow from a row; it is not asked about the many rows of steps, evidence and
    checks. `dice` gives numbers in [0, 1).
    """

    def __init__(self, announce: Announce, send: Send, dice: Callable[[], float] = random.random) -> None:
        self._announce = announce
        self._send = send
        self._dice = dice
        self._news = asyncio.Event()

    def keep(self, tx: Tx, record: Record) -> list[Entry]:
        """Queue what follows from a row, in the row's own transaction."""
        if record.kind in _SILENT:
            return []
        messages = self._announce(runs.load(tx, record.run), record)
        kept = [m for m in messages if self._insert(tx, record, m)]
        if kept:
            tx.on_commit(self._news.set)
        return [_notified(m.event, m.channel, m.label, "queued", "") for m in kept]

    async def run(self, journal: Journal) -> None:
        """Send what is due, and what will be, until cancelled."""
        while True:
            self._news.clear()
            try:
                left = await self.deliver(journal)
            except DeployError:  # the journal cannot be written, so nothing was sent: what is sent is recorded
                left = BACK_OFF_S[1]
            with suppress(TimeoutError):
                async with asyncio.timeout(left):
                    await self._news.wait()

    async def deliver(self, journal: Journal) -> float | None:
        """Send what is due now. Seconds until more is due, None when nothing is queued."""
        store = journal.store
        due = await store.tx(lambda tx: self._take_due(tx, store.now()))
        await asyncio.gather(*(self._deliver_one(journal, row) for row in due))
        row = await store.read(lambda tx: tx.one("select min(next_at) as at from outbox where state='queued'"))
        return None if row is None or row["at"] is None else max(0.0, row["at"] - store.now())

    def _insert(self, tx: Tx, record: Record, message: Message) -> int:
        again = f":{message.again}" if message.again else ""
        due_at = message.not_before or record.at
        return tx.change(
            "insert into outbox(run, event, channel, label, message, idempotency_key, state, due_at, next_at) "
            "values(?, ?, ?, ?, ?, ?, 'queued', ?, ?) on conflict(idempotency_key) do nothing",
            *(record.run, message.event, message.channel, message.label, canonical(message.body).decode()),
            *(f"{record.run}:{message.event}:{message.channel}{again}", due_at, due_at),
        )

    def _take_due(self, tx: Tx, now: Instant) -> list[Row]:
        """Other senders see these rows as being sent: they are not due for a while."""
        due = tx.all("select * from outbox where state='queued' and next_at<=? order by next_at limit 20", now)
        for row in due:
            tx.change("update outbox set attempts=attempts+1, next_at=? where id=?", now + _SENDING_S, row["id"])
        return due

    async def _deliver_one(self, journal: Journal, row: Row) -> None:
        fields = {name: row[name] for name in ("run", "event", "channel", "idempotency_key")}
        try:
            async with asyncio.timeout(_SENDING_S / 2):
                receipt = await self._send(Outgoing(**fields, body=json.loads(row["message"])))
        except Refused as refused:
            await self._settle(journal, row, "failed", str(refused))
        except Exception as error:
            await self._put_off(journal, row, error)
        else:
            await self._settle(journal, row, "sent", receipt)

    async def _put_off(self, journal: Journal, row: Row, error: Exception) -> None:
        asked = error.after_s if isinstance(error, Later) and error.after_s else 0.0
        next_at = journal.store.now() + max(asked, back_off(row["attempts"], self._dice()))
        why = str(error) or type(error).__name__
        if next_at - row["due_at"] > _GIVE_UP_S:
            await self._settle(journal, row, "failed", why)
            return
        query = "update outbox set next_at=?, receipt=? where id=?"
        await journal.store.tx(lambda tx: tx.change(query, next_at, why, row["id"]))

    async def _settle(self, journal: Journal, row: Row, status: Literal["sent", "failed"], receipt: str) -> None:
        def work(tx: Tx) -> None:
            if tx.change(
                "update outbox set state=?, receipt=? where id=? and state='queued'", status, receipt, row["id"]
            ):
                entry = _notified(row["event"], row["channel"], row["label"], status, receipt)
                journal.append(tx, row["run"], runs.load(tx, row["run"]).epoch, entry)

        await journal.store.tx(work)


def back_off(failures: int, dice: float) -> float:
    """Seconds after so many failures before this one: 1, 5, 30, 120, 600, then an hour; give or take a fifth."""
    base = BACK_OFF_S[failures] if failures < len(BACK_OFF_S) else _THEN_S
    return base * (1 + _JITTER * (2 * dice - 1))


def _notified(event: str, channel: str, label: str, status: Literal["queued", "sent", "failed"], receipt: str) -> Entry:
    return Notified(event=event, channel=channel, label=label, status=status, receipt=receipt).entry()
