"""The journal: append-only, one chain of hashes a run. Whoever can read it knows what happened, and in which order.

Rows are appended inside the caller's transaction, so that a fact and what follows from it are written together.
"""

import json
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from soc_deploy_mcp.core.canonical import canonical
from soc_deploy_mcp.core.event import GENESIS, Entry, Record
from soc_deploy_mcp.core.ids import Epoch, RunId, TargetId
from soc_deploy_mcp.engine import runs
from soc_deploy_mcp.engine.bell import Bell
from soc_deploy_mcp.engine.store import Row, Store, Tx

Follow = Callable[[Tx, Record], Iterable[Entry]]
_COLUMNS = "run, seq, epoch, at, kind, key, payload, prev_hash, hash"
_NAMES = _COLUMNS.split(", ")


@dataclass(frozen=True, slots=True)
class Broken:
    """The first row of a run that cannot be what was written."""

    seq: int
    why: str


def _as_it_is(payload: dict[str, Any]) -> dict[str, Any]:
    return payload


class Journal:
    """`redact` sees every payload before it is written. `follow` is called for each row in its own transaction: it
    may write, and what it returns is appended too (the outbox keeps its messages so)."""

    def __init__(
        self,
        store: Store,
        redact: Callable[[dict[str, Any]], dict[str, Any]] = _as_it_is,
        follow: Sequence[Follow] = (),
    ) -> None:
        self.store = store
        self.bell = Bell()
        self._redact = redact
        self._follow = tuple(follow)

    def append(self, tx: Tx, run: RunId, epoch: Epoch, *entries: Entry) -> list[Record]:
        """Add rows to a run's chain. They are those that were asked for, not those that followed from them.

        Raises ValueError or TypeError for a payload that is no JSON.
        """
        seq, previous = self._end(tx, run)
        todo = list(entries)
        asked: list[Record] = []
        while todo:
            entry = todo.pop(0)
            record = self._write(tx, run, epoch, seq := seq + 1, previous, entry)
            previous = record.hash
            runs.project(tx, record)
            if len(asked) < len(entries):
                asked.append(record)
            todo += [more for follow in self._follow for more in follow(tx, record)]
        tx.on_commit(lambda: self.bell.ring(run))
        return asked

    async def load(self, run: RunId, after: int = 0) -> list[Record]:
        """The rows of a run in order, those behind row `after`."""
        return await self.store.read(lambda tx: rows_of(tx, run, after))

    async def tail(self, run: RunId, after: int = 0) -> AsyncIterator[Record]:
        """The rows behind row `after`, then each new one; ends when the run is over. Raises E_RUN_UNKNOWN."""
        with self.bell.listen(run) as news:
            while True:
                news.clear()
                over, fresh = await self._news_of(run, after)
                for record in fresh:
                    after = record.seq
                    yield record
                if over and not fresh:
                    return
                if not fresh:
                    await news.wait()

    async def _news_of(self, run: RunId, after: int) -> tuple[bool, list[Record]]:
        return await self.store.read(lambda tx: (runs.load(tx, run).over, rows_of(tx, run, after)))

    async def of_target(self, target: TargetId, kinds: Sequence[str]) -> list[Record]:
        """Rows of these kinds of all runs on a target, in the order they were written. Folds to its lineage."""
        marks = ", ".join("?" * len(kinds))
        query = (
            f"select {_COLUMNS} from journal where kind in ({marks}) "
            "and run in (select id from runs where target=?) order by position"
        )
        return await self.store.read(lambda tx: [_stored(row) for row in tx.all(query, *kinds, target)])

    async def verify(self, run: RunId) -> Broken | None:
        """The first row that was changed, moved or lost; None when the chain is whole.

        A chain alone cannot show that its end was cut off: compare `head` with one that was kept elsewhere.
        """
        query = f"select {_COLUMNS} from journal where run=? order by seq"
        return first_broken(await self.store.read(lambda tx: tx.all(query, run)))

    async def head(self, run: RunId) -> str:
        """The hash of the last row: it stands for the whole chain."""
        return (await self.store.read(lambda tx: self._end(tx, run)))[1]

    def _end(self, tx: Tx, run: RunId) -> tuple[int, str]:
        row = tx.one("select seq, hash from journal where run=? order by seq desc limit 1", run)
        return (0, GENESIS) if row is None else (row["seq"], row["hash"])

    def _write(self, tx: Tx, run: RunId, epoch: Epoch, seq: int, previous: str, entry: Entry) -> Record:
        text = canonical(self._redact(entry.payload)).decode()
        fields: dict[str, Any] = {"run": run, "seq": seq, "epoch": epoch, "at": float(self.store.now())}
        fields |= {"kind": entry.kind, "key": entry.key, "prev_hash": previous}
        # what is returned is what will be read: plain JSON, with the lists and floats it has after a restart
        hashed = Record.model_construct(**fields, payload=json.loads(text), hash="").expected_hash()
        row = fields | {"payload": text, "hash": hashed}
        tx.change(f"insert into journal({_COLUMNS}) values(?, ?, ?, ?, ?, ?, ?, ?, ?)", *(row[n] for n in _NAMES))
        return _stored(row)


def rows_of(tx: Tx, run: RunId, after: int = 0) -> list[Record]:
    query = f"select {_COLUMNS} from journal where run=? and seq>? order by seq"
    return [_stored(row) for row in tx.all(query, run, after)]


def first_broken(rows: Iterable[Row]) -> Broken | None:
    previous = GENESIS
    for expected, row in enumerate(rows, start=1):
        if row["seq"] != expected:
            return Broken(expected, f"row {expected} is missing")
        if row["prev_hash"] != previous:
            return Broken(expected, "it does not continue the row before it")
        try:
            whole = _stored(row).expected_hash() == row["hash"]
        except (ValueError, TypeError):
            whole = False
        if not whole:
            return Broken(expected, "it was changed after it was written")
        previous = row["hash"]
    return None


def _stored(row: Row) -> Record:
    """Unvalidated on purpose: what is in the chain is read as it was written, whatever version wrote it."""
    fields = {name: row[name] for name in _NAMES}
    return Record.model_construct(**fields | {"payload": json.loads(row["payload"])})
