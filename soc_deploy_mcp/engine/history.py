"""Looking at runs. Changes nothing, so anybody may hold one."""

from soc_deploy_mcp.core.ids import Instant, RunId, TargetId
from soc_deploy_mcp.engine import runs
from soc_deploy_mcp.engine.runs import Run
from soc_deploy_mcp.engine.store import Store


class History:
    def __init__(self, store: Store) -> None:
        self._store = store

    async def get(self, run: RunId) -> Run:
        """Raises E_RUN_UNKNOWN."""
        return await self._store.read(lambda tx: runs.load(tx, run))

    async def find(self, beginning: str) -> Run:
        """A run by its id or an unambiguous beginning of it, with or without `run_`. Raises E_RUN_UNKNOWN."""
        return await self._store.read(lambda tx: runs.find(tx, beginning))

    async def open(self) -> list[Run]:
        """Runs that are not over, oldest first."""
        return await self._store.read(lambda tx: runs.listing(tx, "ended_at is null order by created_at"))

    async def finished(self, limit: int, subject: str | None = None) -> list[Run]:
        """The last ones, newest first; those of one subject if it is given."""
        where = "ended_at is not null and (? is null or subject=?) order by created_at desc limit ?"
        return await self._store.read(lambda tx: runs.listing(tx, where, subject, subject, limit))

    async def of_target(self, target: TargetId, limit: int, before: Instant | None = None) -> list[Run]:
        """Runs of a target that began before a moment, newest first."""
        where = "target=? and created_at<? order by created_at desc limit ?"
        latest = float("inf") if before is None else before
        return await self._store.read(lambda tx: runs.listing(tx, where, target, latest, limit))

    async def holder(self, target: TargetId) -> Run | None:
        """The run that holds a target's lock."""
        return await self._store.read(lambda tx: runs.holder(tx, target))
