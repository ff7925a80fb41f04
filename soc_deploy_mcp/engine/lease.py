"""Who may carry runs: a node that renews its lease. What a node claims carries an epoch that no later one shares.

The epoch is bound to the execution when it is claimed. Reading the current one later would let a process that was
frozen pick up its successor's.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from soc_deploy_mcp.core.event import Entry
from soc_deploy_mcp.core.ids import Epoch, Instant, RunId, TargetId
from soc_deploy_mcp.engine import runs
from soc_deploy_mcp.engine.clock import Clock
from soc_deploy_mcp.engine.journal import Journal
from soc_deploy_mcp.engine.runs import Run
from soc_deploy_mcp.engine.store import Tx


@dataclass(frozen=True, slots=True)
class LeaseTimes:
    """Seconds. A node stops its own runs at `stop_at` of the lease, before anybody else may take them."""

    ttl: float = 15.0
    renew: float = 5.0
    stop_at: float = 0.8


class Lease:
    """What this node knows of its own lease without asking: by its own steady clock."""

    def __init__(self, clock: Clock, times: LeaseTimes) -> None:
        self.times = times
        self._clock = clock
        self._until = float("-inf")

    @property
    def left(self) -> float:
        """Seconds until this node must stop by itself; negative: it must have."""
        return self._until - self._clock.monotonic()

    def renewed(self, asked_at: float) -> None:
        """The lease began when it was asked for, not when the answer came."""
        self._until = asked_at + self.times.ttl * self.times.stop_at

    def given_up(self) -> None:
        self._until = float("-inf")


def renew(tx: Tx, node: str, until: Instant) -> None:
    upsert = "on conflict(id) do update set lease_until=excluded.lease_until"
    tx.change(f"insert into nodes(id, lease_until) values(?, ?) {upsert}", node, until)


def lost(tx: Tx, node: str, held: Mapping[RunId, Epoch]) -> list[RunId]:
    """Those of our executions that somebody else has taken."""
    mine = {r["id"]: r["epoch"] for r in tx.all("select id, epoch from runs where ended_at is null and owner=?", node)}
    return [run for run, epoch in held.items() if mine.get(run) != epoch]


def claim(
    tx: Tx, journal: Journal, node: str, held: Collection[RunId], programs: Collection[str], ttl: float
) -> list[Run]:
    """Take every run that is not over and that nobody carries: new ones, those of nodes whose lease lapsed, and our
    own orphans (after a restart, or after our lease lapsed while the machine slept)."""
    now = journal.store.now()
    # a lease that ends later than any could was made before the clock was turned back: it says nothing
    alive = "select id from nodes where lease_until between ? and ?"
    free = runs.listing(
        tx,
        f"ended_at is null and (owner is null or owner=? or owner not in ({alive})) order by created_at",
        *(node, now, now + ttl),
    )
    return [take(tx, journal, node, run, now) for run in free if run.id not in held and run.program in programs]


def take(tx: Tx, journal: Journal, node: str, run: Run, now: Instant) -> Run:
    """Own a run, with a new epoch of its target. The row `lease` begins what this owner writes."""
    epoch = raise_epoch(tx, run.target)
    tx.change("update runs set owner=?, epoch=?, updated_at=? where id=?", node, epoch, now, run.id)
    journal.append(tx, run.id, epoch, Entry(kind="lease", payload={"node": node, "program": run.program}))
    return run.model_copy(update={"owner": node, "epoch": epoch, "updated_at": now})


def raise_epoch(tx: Tx, target: TargetId) -> Epoch:
    tx.change("update targets set epoch=epoch+1 where id=?", target)
    row = tx.one("select epoch from targets where id=?", target)
    if row is None:
        raise LookupError(f"no target {target}")
    return Epoch(row["epoch"])
