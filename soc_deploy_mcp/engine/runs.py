"""The rows of `runs`: one execution each, from the first word to the last. The journal is the truth; a row is where
it stands now, so that the lock, the owner and the lists need no reading of journals.
"""

import json

from soc_deploy_mcp.core.canonical import canonical
from soc_deploy_mcp.core.errors import DeployError
from soc_deploy_mcp.core.event import Record, State
from soc_deploy_mcp.core.ids import Epoch, Instant, PlanHash, RunId, TargetId
from soc_deploy_mcp.core.model import Noun
from soc_deploy_mcp.core.times import second, short
from soc_deploy_mcp.engine.context import Json
from soc_deploy_mcp.engine.store import Row, Tx, Value

HOLDING = frozenset({State.RUNNING, State.PROMOTING, State.BAKING, State.PAUSED, State.ABORTING})
# word for word as in the partial indexes, or SQLite does not see that it may use them
_HOLDS = "state in ('RUNNING', 'PROMOTING', 'BAKING', 'PAUSED', 'ABORTING')"
OPEN = "state not in ('SUCCEEDED', 'DRY_RUN', 'ROLLED_BACK', 'FAILED_NO_CHANGE', 'NEEDS_OPERATOR')"
_COLUMNS = (
    "id, target, project, service, environment, verb, version, subject, request_key, program, args, plan_hash, state, "
    "owner, epoch, created_at, updated_at, ended_at"
)


class Run(Noun):
    id: RunId
    target: TargetId
    project: str
    service: str
    environment: str
    verb: str  # deploy, rollback
    version: str | None
    subject: str  # who asked: uid:1000
    request_key: str  # core.request.same_request
    program: str  # walk/1 until the gate, then deploy/1
    args: Json
    plan_hash: PlanHash | None = None  # on from the gate
    state: State
    owner: str | None = None  # node
    epoch: Epoch = Epoch(0)
    created_at: Instant
    updated_at: Instant
    ended_at: Instant | None = None  # its program has returned

    @property
    def over(self) -> bool:
        return self.ended_at is not None

    @property
    def holds(self) -> bool:
        """Does it hold the lock of its target?"""
        return self.state in HOLDING

    @property
    def name(self) -> str:
        return f"{self.service}/{self.environment}"


def insert(tx: Tx, run: Run) -> None:
    row = run.model_dump(mode="json")
    row["args"] = canonical(run.args).decode()
    names = _COLUMNS.split(", ")
    tx.change(f"insert into runs({_COLUMNS}) values({', '.join('?' * len(names))})", *(row[n] for n in names))
    tx.change("insert into targets(id) values(?) on conflict do nothing", run.target)


def load(tx: Tx, run: RunId) -> Run:
    """Raises E_RUN_UNKNOWN."""
    row = tx.one(f"select {_COLUMNS} from runs where id=?", run)
    if row is None:
        raise unknown(run)
    return _run(row)


def find(tx: Tx, beginning: str) -> Run:
    """A run by its id or an unambiguous beginning of it, with or without `run_`. Raises E_RUN_UNKNOWN."""
    low = beginning if beginning.startswith("run_") else f"run_{beginning}"
    rows = tx.all(f"select {_COLUMNS} from runs where id >= ? and id < ? limit 2", low, low + "\x7f")
    if len(rows) != 1 or low == "run_":
        raise unknown(beginning)
    return _run(rows[0])


def unknown(run: str) -> DeployError:
    why = "no run has this id, or several begin like this"
    return DeployError("E_RUN_UNKNOWN", f"no run {run}", why, "soc-deploy status")


def twin(tx: Tx, request_key: str) -> Run | None:
    """The open run of an equal request."""
    return next(iter(listing(tx, f"request_key=? and {OPEN}", request_key)), None)


def holder(tx: Tx, target: TargetId) -> Run | None:
    """The run that holds the lock of a target."""
    return next(iter(listing(tx, f"target=? and {_HOLDS}", target)), None)


def listing(tx: Tx, where: str, *values: Value) -> list[Run]:
    return [_run(row) for row in tx.all(f"select {_COLUMNS} from runs where {where}", *values)]


def project(tx: Tx, record: Record) -> None:
    """Keep a run's state equal to its journal's last word about it."""
    if record.kind == "finished" or (record.kind == "decided" and record.payload.get("type") == "moved"):
        state = State(record.payload["state"])
        tx.change("update runs set state=?, updated_at=? where id=?", state, record.at, record.run)


def locked(held_by: Run, now: Instant) -> DeployError:
    what = " ".join(filter(None, (held_by.verb, held_by.version)))
    since = f"since {second(held_by.created_at)} ({short(max(0.0, now - held_by.created_at))} ago)"
    return DeployError(
        "E_LOCKED",
        f"{held_by.name} is held by {held_by.id}: {what}, {held_by.state}",
        f"{since}, started by {held_by.subject}; a target takes one run at a time",
        f"soc-deploy status {held_by.id} --watch\nsoc-deploy abort {held_by.id}",
    )


def _run(row: Row) -> Run:
    return Run.from_json({n: row[n] for n in _COLUMNS.split(", ")} | {"args": json.loads(row["args"])})
