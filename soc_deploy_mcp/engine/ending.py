"""The end of a run: its program has returned, or could not go on."""

from soc_deploy_mcp.core.errors import DeployError
from soc_deploy_mcp.core.event import ErrorSeen, Finished, State
from soc_deploy_mcp.core.ids import RunId
from soc_deploy_mcp.engine import runs
from soc_deploy_mcp.engine.approvals import record
from soc_deploy_mcp.engine.context import Aborted
from soc_deploy_mcp.engine.journal import Journal
from soc_deploy_mcp.engine.memory import defect
from soc_deploy_mcp.engine.runs import Run
from soc_deploy_mcp.engine.store import Tx


def finish(tx: Tx, journal: Journal, run_id: RunId) -> None:
    """A program that returned must have said how its run ended."""
    run = runs.load(tx, run_id)
    if not run.state.terminal:
        raise RuntimeError(f"the program returned and left the run in {run.state}")
    if tx.one("select 1 from journal where run=? and kind='finished'", run_id) is None:
        # a walk that died between its last state and its last word
        journal.append(tx, run_id, run.epoch, Finished(state=run.state).entry())
    _end(tx, journal, run_id)


def fail(tx: Tx, journal: Journal, run_id: RunId, error: Exception) -> None:
    """Say what is known: behind the gate nobody can tell where traffic is, so a person must look."""
    run = runs.load(tx, run_id)
    if not isinstance(error, Aborted):
        known = error if isinstance(error, DeployError) else defect(error)
        seen = ErrorSeen(code=known.code, what=known.what, why=known.why, try_=known.try_)
        journal.append(tx, run_id, run.epoch, seen.entry())
    if not run.state.terminal:
        journal.append(tx, run_id, run.epoch, _last(run, error).entry())
    _end(tx, journal, run_id)


def is_defect(error: Exception) -> bool:
    return not isinstance(error, DeployError | Aborted)


def _last(run: Run, error: Exception) -> Finished:
    known = error.code if isinstance(error, DeployError) else "E_INTERNAL"
    reason = "operator" if isinstance(error, Aborted) else known
    if run.holds:
        return Finished(state=State.NEEDS_OPERATOR, reason=reason, first_line=f"look at {run.name} yourself")
    return Finished(state=State.FAILED_NO_CHANGE, reason=reason, first_line="no user traffic was affected")


def _end(tx: Tx, journal: Journal, run: RunId) -> None:
    tx.change("update runs set ended_at=? where id=?", journal.store.now(), run)
    record.close(tx, run)
    tx.on_commit(lambda: journal.bell.ring(run))
