"""Orders to a run, kept until a step takes them. Anybody may send one, whoever owns the run."""

import json

from soc_deploy_mcp.core.canonical import canonical
from soc_deploy_mcp.core.event import Entry
from soc_deploy_mcp.core.ids import RunId, StepKey
from soc_deploy_mcp.engine import runs
from soc_deploy_mcp.engine.context import Json, Taken
from soc_deploy_mcp.engine.journal import Journal
from soc_deploy_mcp.engine.store import Row, Tx

ABORT = "abort"


def send(tx: Tx, journal: Journal, run: RunId, name: str, payload: Json, by: str) -> None:
    """Keep a signal, and journal that it was sent. Raises E_RUN_UNKNOWN."""
    epoch = runs.load(tx, run).epoch
    sent = {"name": name, "payload": payload, "by": by}
    (record,) = journal.append(tx, run, epoch, Entry(kind="signal", payload={"type": "sent"} | sent))
    tx.change(
        "insert into signals(run, name, payload, sent_by, at) values(?, ?, ?, ?, ?)",
        *(run, name, canonical(payload).decode(), by, record.at),
    )
    signal = Taken(name, payload, by)
    tx.on_commit(lambda: journal.bell.say(run, signal))


def abort_of(tx: Tx, run: RunId) -> Taken | None:
    """The first abort that was sent; later ones change nothing."""
    row = tx.one("select name, payload, sent_by from signals where run=? and name=? order by id limit 1", run, ABORT)
    return None if row is None else taken(row)


def take(tx: Tx, run: RunId, names: tuple[str, ...], by: StepKey, *, held: bool = False) -> Taken | None:
    """The oldest of these names that nobody took; now `by` has it."""
    marks = ", ".join("?" * len(names))
    row = tx.one(
        f"select id, name, payload, sent_by from signals where run=? and taken_by is null and name in ({marks}) "
        "order by id limit 1",
        *(run, *names),
    )
    if row is None:
        return None
    tx.change("update signals set taken_by=?, held=? where id=?", by, int(held), row["id"])
    return taken(row)


def keep(tx: Tx, run: RunId, by: StepKey) -> None:
    """What a step holds is its own now: it saved what it made of it."""
    tx.change("update signals set held=0 where run=? and taken_by=? and held=1", run, by)


def give_back(tx: Tx, run: RunId, by: StepKey) -> None:
    """A step that starts again forgot what it took after it saved last."""
    tx.change("update signals set taken_by=null, held=0 where run=? and taken_by=? and held=1", run, by)


def taken(row: Row) -> Taken:
    return Taken(row["name"], json.loads(row["payload"]), row["sent_by"])
