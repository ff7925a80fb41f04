"""The way back, in a fixed order: traffic first, confirm, drain, stop, verify the old release, remember the bad one.

The first write waits for nothing: no metric, no approval, no hook, no message.
"""

from collections.abc import Awaitable, Callable

from soc_deploy_mcp.actions.deploy.carry import Carrier
from soc_deploy_mcp.actions.deploy.decide import GoBack, Outcome
from soc_deploy_mcp.actions.deploy.strategies.rolling import share, sizes
from soc_deploy_mcp.actions.deploy.trail import Trail
from soc_deploy_mcp.actions.deploy.watching import Watcher
from soc_deploy_mcp.core import plan as p
from soc_deploy_mcp.core.errors import DeployError
from soc_deploy_mcp.core.event import (
    ErrorSeen,
    GoingBack,
    LineageChanged,
    Moved,
    State,
    StepEnded,
    StepStarted,
    TrafficBack,
)
from soc_deploy_mcp.core.ids import StepKey
from soc_deploy_mcp.core.report.text import cause
from soc_deploy_mcp.engine.context import Context, Effect, Json

# Failures of the machine or of ours: the release is not to blame and is not quarantined.
NOT_ITS_FAULT = frozenset(
    {
        *("operator", "EXPIRED", "HOLD", "E_LOW_DISK", "E_LOW_FILES", "E_LOW_MEMORY", "E_NO_PORT", "E_LISTEN_IN_USE"),
        *("E_ROUTER_DOWN", "E_ROUTER_REJECTED", "E_WEIGHTS", "E_SECRET_UNRESOLVED", "E_PORT_NOT_OWNED", "E_ARTIFACT"),
        *("E_ARTIFACT_MISMATCH", "E_JOURNAL", "E_INTERNAL", "E_NO_ROUTER"),
    }
)


def _said(back: GoBack) -> str:
    return f"{cause(back.code, back.by)}: {back.why}"


class GoingBackProgram:
    """Runs with abort shielded: a second abort is recorded and changes nothing."""

    def __init__(self, ctx: Context, plan: p.Plan, carrier: Carrier, trail: Trail, watcher: Watcher) -> None:
        self.ctx, self.plan, self.carrier, self.trail, self.watcher = ctx, plan, carrier, trail, watcher

    async def run(self, back: GoBack) -> State:
        """The terminal state. Never raises DeployError: what could not be done ends in NEEDS_OPERATOR."""
        await self.ctx.emit(GoingBack(code=back.code, why=back.why, by=back.by), "back/decided")
        decided = self.ctx.now()
        await self.ctx.emit(Moved(state=State.ABORTING, reason=back.code, why=back.why), "back/state")
        await self._close_row(back)
        changed = self.trail.touched or self.trail.shrunk
        state = State.ROLLED_BACK if changed else State.FAILED_NO_CHANGE
        if self.plan.action == "rollback" and back.code != "operator":
            state = State.NEEDS_OPERATOR  # the way back itself did not work: a person names the next release
        try:
            if changed:
                await self._traffic(decided)
            await self._row("back/stop", f"Drain and stop {self.plan.new.version}", self._stop)
            if changed and self.plan.old is not None:
                await self._verify()
        except DeployError as error:
            seen = ErrorSeen(code=error.code, what=error.what, why=error.why, try_=error.try_)
            await self.ctx.emit(seen, "back/error")
            state = State.NEEDS_OPERATOR
        if self._blamed(back):
            bad = LineageChanged(change="quarantined", release=self.plan.new, why=_said(back)[:200])
            await self.ctx.emit(bad, "back/quarantined")
        return state

    def _blamed(self, back: GoBack) -> bool:
        """Quarantined: what users met and had to be taken back, and what failed for a reason of its own."""
        if self.plan.action == "rollback" and back.code == "operator":
            return False
        return self.trail.touched or back.code not in NOT_ITS_FAULT

    async def _traffic(self, decided: float) -> None:
        old = self.plan.old
        row = f"Shift traffic to {old.version} (100 %)" if old else "Take all traffic away"
        await self._row("back/shift", row, self._reverse if self.trail.shrunk else self._flip)
        seconds = self.ctx.now() - decided
        await self.ctx.emit(TrafficBack(seconds=seconds, to=old.version if old else "nothing"), "back/traffic")
        if old is not None:
            await self.ctx.emit(LineageChanged(change="active", release=old), "back/active")
            await self._row("back/confirm", "Confirm through entry point", self._confirm)

    async def _close_row(self, back: GoBack) -> None:
        """The step that was being worked on ends here, as failed, with the reason in its row."""
        step = self.trail.step
        if step is None or not self.trail.open:
            return
        self.trail.words.setdefault(step.key, "stopped by a person" if back.code == "operator" else back.code)
        self.trail.open = False
        ended = StepEnded(step=step.key, row=self.trail.row(), status="failed", note=_said(back))
        await self.ctx.emit(ended, f"{step.key}/ended")

    async def _flip(self, key: str) -> Json:
        return await self._act(f"{key}/flip", self.carrier.shift(0))

    async def _reverse(self, key: str) -> Json:
        """Old instances were taken away: they come first, ready, routed; then the new ones out."""
        if self.plan.strategy == "recreate":
            # Two releases must not run side by side: requests wait while the old one starts again.
            await self._act(f"{key}/hold", self.carrier.shift(0, hold=True))
            await self._act(f"{key}/drain-new", self.carrier.drain("new"))
            await self._act(f"{key}/stop-new", self.carrier.ensure("new", 0, 300))
            await self._act(f"{key}/start-old", self.carrier.ensure("old", self._full(), 600))
            return await self._flip(key)
        if self.plan.strategy != "rolling":
            await self._act(f"{key}/start-old", self.carrier.ensure("old", self._full(), 600))
            return await self._flip(key)
        total, restored = self._full(), min(self.trail.old_left or 0, self._full())
        rolling = self.plan.settings.deploy.rolling
        for size in sizes(total - restored, rolling.max_surge, rolling.max_unavailable):
            restored += size
            await self._act(f"{key}/old-{restored}", self.carrier.ensure("old", restored, 600))
            if restored < total:  # never more than it has: from here on its share only falls
                new = min(share(total - restored, total), self.trail.weight)
                await self._act(f"{key}/share-{restored}", self.carrier.shift(new))
        return await self._flip(key)

    def _full(self) -> int:
        return self.plan.old.spec.instances if self.plan.old else 0

    async def _confirm(self, key: str) -> Json:
        return await self._act(f"{key}/probe", self.carrier.confirm(0))

    async def _stop(self, key: str) -> Json:
        await self._act(f"{key}/drain", self.carrier.drain("new"))
        return await self._act(f"{key}/remove", self.carrier.remove("new"))

    async def _verify(self) -> None:
        old = self.plan.old
        assert old is not None

        async def look(key: str) -> Json:
            result = await self.ctx.watch(StepKey(f"{key}/look"), self.watcher.after_back())
            outcome = Outcome.from_json(result["outcome"])
            if outcome.end == "bad":
                raise DeployError("E_SMOKE_FAILED", f"{old.version} is not healthy either: {outcome.why}")
            return result

        await self._row("back/verify", f"Verify {old.version} health", look)

    async def _row(self, key: str, row: str, work: Callable[[str], Awaitable[Json]]) -> None:
        await self.ctx.emit(StepStarted(step=StepKey(key), row=row), f"{key}/started")
        try:
            await work(key)
        except DeployError as error:
            failed = StepEnded(step=StepKey(key), row=row, status="failed", note=error.what)
            await self.ctx.emit(failed, f"{key}/ended")
            raise
        except TimeoutError:
            failed = StepEnded(step=StepKey(key), row=row, status="failed", note="not confirmed in time")
            await self.ctx.emit(failed, f"{key}/ended")
            raise DeployError("E_WEIGHTS", f"{row}: not confirmed in time", "", "soc-deploy status") from None
        await self.ctx.emit(StepEnded(step=StepKey(key), row=row, status="ok"), f"{key}/ended")

    async def _act(self, key: str, effect: Effect) -> Json:
        return await self.ctx.act(StepKey(key), self.carrier.persistently(effect))
