"""The gate between deciding and doing: approval, lock, epoch and start are one transaction, or they do not happen."""

from soc_deploy_mcp.core.canonical import canonical
from soc_deploy_mcp.core.event import Moved, State
from soc_deploy_mcp.core.ids import RunId
from soc_deploy_mcp.engine import lease, runs
from soc_deploy_mcp.engine.approvals.consume import Binding, consume
from soc_deploy_mcp.engine.context import Passage
from soc_deploy_mcp.engine.journal import Journal
from soc_deploy_mcp.engine.runs import Run
from soc_deploy_mcp.engine.store import Tx


def pass_gate(tx: Tx, journal: Journal, run_id: RunId, node: str, passage: Passage) -> Run:
    """The run as it is behind the gate. Raises E_LOCKED, E_APPROVAL_*; then nothing of it has happened."""
    now = journal.store.now()
    run = runs.load(tx, run_id)
    if (holder := runs.holder(tx, run.target)) is not None:
        raise runs.locked(holder, now)
    if passage.approval is not None:
        consume(tx, journal, passage.approval, run, Binding(run.target, passage.plan_hash, passage.baseline))
    tx.change(
        "update runs set program=?, args=?, plan_hash=? where id=?",
        *(passage.program, canonical(passage.args).decode(), passage.plan_hash, run_id),
    )
    journal.append(tx, run_id, run.epoch, Moved(state=State.RUNNING).entry())
    return lease.take(tx, journal, node, runs.load(tx, run_id), now)
