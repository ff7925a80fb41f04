"""The journal as somebody sees it who may only read its file: which rows are there, and when the next one comes."""

import json
import re
import sqlite3
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from soc_deploy_mcp.core.event import State
from soc_deploy_mcp.engine.journal import first_broken
from tests.support.processes import wait_for

LOOK_S = 0.003
_VERSION = re.compile(r"v[0-9]+\.[0-9]+\.[0-9]+(-[a-z0-9-]+)?")
_DIGEST = re.compile(r"[0-9a-f]{16,}")


@dataclass(frozen=True)
class Row:
    seq: int
    epoch: int
    at: float
    kind: str
    key: str
    payload: dict[str, Any]

    @property
    def name(self) -> str:
        """The same in every run: `observed canary/40/1-shift`. Rows without a key of their own have a type or state."""
        more = self.payload.get("state") or self.payload.get("type") or ""
        return f"{self.kind} {_DIGEST.sub('DIGEST', _VERSION.sub('VERSION', self.key or more))}"


class Journal:
    """A connection of our own to `journal.db` of a state home. It only reads, and waits for nobody."""

    def __init__(self, home: Path) -> None:
        self.file = home / "journal.db"
        wait_for(self.file.exists)
        self.db = sqlite3.connect(self.file, timeout=30, isolation_level=None)
        self.db.row_factory = sqlite3.Row
        self.db.execute("pragma query_only=on")

    def close(self) -> None:
        self.db.close()

    # --- runs

    def runs(self) -> set[str]:
        return {row["id"] for row in self.db.execute("select id from runs")}

    def state(self, run: str) -> State:
        (state,) = self.db.execute("select state from runs where id=?", (run,)).fetchone()
        return State(state)

    def over(self, run: str) -> bool:
        """Its program has returned."""
        (ended,) = self.db.execute("select ended_at from runs where id=?", (run,)).fetchone()
        return ended is not None

    # --- rows

    def rows(self, run: str, after: int = 0) -> list[Row]:
        query = "select seq, epoch, at, kind, key, payload from journal where run=? and seq>? order by seq"
        found = self.db.execute(query, (run, after)).fetchall()
        return [Row(r["seq"], r["epoch"], r["at"], r["kind"], r["key"], json.loads(r["payload"])) for r in found]

    def follow(self, run: str, within_s: float) -> Iterator[Row | None]:
        """Each row as soon as it is there, None while there is none; ends when the run is over."""
        end, after = time.monotonic() + within_s, 0
        while True:
            over = self.over(run)  # first: what was written until then is still told
            for row in self.rows(run, after):
                after = row.seq
                yield row
            if over:
                return
            assert time.monotonic() < end, f"not over after {within_s} s: {self.told(run)}"
            yield None
            time.sleep(LOOK_S)

    def told(self, run: str, last: int = 25) -> str:
        """The end of a run's journal, for the message of a test that failed."""
        lines = [f"{r.seq} {r.at % 1000:.2f} e{r.epoch} {r.name} {_short(r.payload)}" for r in self.rows(run)[-last:]]
        return "\n".join([f"{run} {self.state(run)}", *lines])

    # --- what must hold

    def assert_whole(self, run: str) -> None:
        """The chain of hashes verifies, and no step, no promotion, no end is there twice."""
        stored = self.db.execute("select * from journal where run=? order by seq", (run,)).fetchall()
        assert first_broken(stored) is None
        rows = self.rows(run)
        carried = [row for row in rows if row.seq > _gate(rows)]
        assert [row.kind for row in rows].count("finished") == 1, self.told(run)
        assert _twice(row.name for row in carried if row.kind == "observed") == []
        assert _twice((row.name, row.payload["change"]) for row in carried if row.kind == "lineage") == []
        epochs = [row.epoch for row in rows]
        assert epochs == sorted(epochs), "an older owner wrote after a newer one"


def _gate(rows: list[Row]) -> int:
    """Where the walk ends, which remembers nothing and repeats its rows: the last lease of a walk."""
    walks = [row.seq for row in rows if row.kind == "lease" and row.payload["program"].startswith("walk")]
    carried = [row.seq for row in rows if row.kind == "lease" and not row.payload["program"].startswith("walk")]
    return carried[0] if carried else walks[-1]


def _twice(names: Iterable[Any]) -> list[Any]:
    return [name for name, count in Counter(names).items() if count > 1]


def _short(payload: dict[str, Any]) -> str:
    kept = {k: v for k, v in payload.items() if k not in ("plan", "release", "readings", "evidence")}
    return json.dumps(kept)[:240]
