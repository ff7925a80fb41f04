"""What is done for people around a run: messages at its start and in need, and at its end the figures, the way back
from here, the incident report, the checks behind the last boxes, and the terminal state."""

from collections.abc import Awaitable, Callable
from typing import Any

from soc_deploy_mcp.actions.deploy.carry import Carrier
from soc_deploy_mcp.actions.deploy.trail import Trail
from soc_deploy_mcp.actions.deploy.world import World
from soc_deploy_mcp.core.errors import DeployError
from soc_deploy_mcp.core.event import (
    Announced,
    CheckMade,
    Finished,
    Impact,
    Moved,
    Notice,
    OutputSeen,
    Recorded,
    State,
    WayBackSeen,
)
from soc_deploy_mcp.core.evidence import Check
from soc_deploy_mcp.core.ids import StepKey
from soc_deploy_mcp.core.plan import Plan
from soc_deploy_mcp.core.platform import Observation
from soc_deploy_mcp.core.report.text import one_line
from soc_deploy_mcp.engine.context import Context

AFTERCARE_S = 60.0
LINES, LINE_CHARS = 20, 300  # of an instance's output, for the incident report
_EVENTS = {State.SUCCEEDED: "succeeded", State.ROLLED_BACK: "rolled_back"}


class Ending:
    def __init__(self, ctx: Context, plan: Plan, world: World, carrier: Carrier, trail: Trail) -> None:
        self.ctx, self.plan, self.world, self.carrier, self.trail = ctx, plan, world, carrier, trail

    async def announce_start(self) -> None:
        """Step 0: tell the channels and the on-call engineer before anything changes. Their silence stops nothing."""
        await self._told("started", f"{self._what()} begins", "announce")

    async def page(self, event: str, line: str, key: str) -> None:
        await self.ctx.emit(Announced(event=event, line=f"{self._what()}: {line}"), f"{key}/page")

    async def incident(self, key: StepKey, state: State = State.SUCCEEDED) -> None:
        await self._output(key)

        async def write() -> str:
            records = await self.world.journal(self.ctx.run)
            return await self.world.aftercare.incident(self.plan, records, state)

        if path := await self._done(key, "incident report", write):
            await self.ctx.emit(Recorded(what="incident", path=path), f"{key}/recorded")

    async def _output(self, key: StepKey) -> None:
        """What the release that is taken back wrote last, for whoever looks for the cause."""
        about = self.plan.old if self.plan.action == "rollback" and self.plan.old else self.plan.new

        async def read() -> list[tuple[str, list[str]]]:
            found = await self.world.aftercare.output(self.plan.target, about)
            return [(instance, _last_lines(text)) for instance, text in found]

        found = await self._done(StepKey(f"{key}/output"), "the release's output", read) or ()
        for number, (instance, lines) in enumerate(found, start=1):
            seen = OutputSeen(release=about.version, instance=instance, lines=tuple(lines))
            await self.ctx.emit(seen, f"{key}/output/{number}")

    async def finish(self, state: State) -> None:
        """The last rows of a run. A failure in here is told and never changes the state."""
        if self.trail.touched:
            await self._impact()
        await self._way_back(state)
        if state in (State.ROLLED_BACK, State.NEEDS_OPERATOR):
            await self.incident(StepKey("finish/incident"), state)
        await self._checked("finish/checks", "the last checks", self._last_checks)
        line = await self._first_line(state)
        event = _EVENTS.get(state, "failed")
        await self._told(event, f"{self._what()}: {line}", "finish/announce")
        if state is State.SUCCEEDED:
            await self._too_late()
        await self.ctx.emit(Moved(state=state), "finish/state")
        await self.ctx.emit(Finished(state=state, first_line=line), "finish")

    async def _too_late(self) -> None:
        if late := await self.ctx.take(StepKey("finish/late"), "abort"):
            text = f"abort by {late.by} came when everything was done; nothing was taken back: roll back instead"
            await self.ctx.emit(Notice(level="warning", text=text), "finish/too-late")

    async def _impact(self) -> None:
        toll = self.trail.toll
        if toll is None:
            return
        await self.ctx.emit(Impact.from_json(toll), "finish/impact")

    async def _way_back(self, state: State) -> None:
        seen = await self._done(
            StepKey("finish/way-back"), "where a rollback would go", lambda: self.world.way_back(self.plan, state)
        )
        if seen is not None:
            await self.ctx.emit(WayBackSeen.from_json(seen), "finish/way-back-seen")

    async def _last_checks(self) -> list[Check]:
        records = await self.world.journal(self.ctx.run)
        return list(await self.world.aftercare.checks(self.plan, records))

    async def _told(self, event: str, line: str, key: str) -> None:
        """Announce, then wait a little for receipts: a box is ticked by a receipt, not by an attempt."""
        await self.ctx.emit(Announced(event=event, line=line), key)

        async def receipts() -> list[Check]:
            return list(await self.world.aftercare.receipts(self.ctx.run, event, self.plan))

        await self._checked(f"{key}/receipts", f"receipts of {event!r}", receipts)

    async def _first_line(self, state: State) -> str:
        match state:
            case State.SUCCEEDED:
                return f"{self.plan.new.version} serves {self.plan.target.name}"
            case State.FAILED_NO_CHANGE:
                return "no user traffic was affected"
            case State.ROLLED_BACK if self.plan.old is not None:
                return f"{self.plan.old.version} has all requests again"
            case State.ROLLED_BACK:
                return "nothing serves: it was the first release, and there is nothing to return to"
        seen = await self._done(StepKey("finish/observe"), "observe", self._traffic_now)
        now = seen or "unknown: the platform does not answer"
        return f"traffic now: {now}; look with: soc-deploy status {self.ctx.run}"

    async def _traffic_now(self) -> str:
        return traffic(await self.world.platform.observe(self.plan.target))

    def _what(self) -> str:
        verb = "rollback to" if self.plan.action == "rollback" else "deploy of"
        return f"{verb} {self.plan.new.version} on {self.plan.target.name}"

    async def _checked(self, key: str, what: str, work: Callable[[], Awaitable[list[Check]]]) -> None:
        async def run() -> list[dict[str, Any]]:
            return [check.to_json() for check in await work()]

        for made in await self._done(StepKey(key), what, run) or ():
            check = Check.from_json(made)
            await self.ctx.emit(CheckMade(check=check), f"{key}/{check.id}")

    async def _done(self, key: StepKey, what: str, work: Callable[[], Awaitable[Any]]) -> Any:
        """The answer, or None with a note: what is done for people must never hold up a release."""
        try:
            return await self.ctx.act(key, self.carrier.calling(what, work, AFTERCARE_S))
        except (DeployError, TimeoutError) as error:
            told = error.what if isinstance(error, DeployError) else f"not done within {AFTERCARE_S:.0f} s"
            await self.ctx.emit(Notice(level="warning", text=f"{what}: {told}"), f"{key}/failed")
            return None


def _last_lines(text: str) -> list[str]:
    lines = [one_line(line, LINE_CHARS) for line in text.splitlines()]
    return [line for line in lines if line][-LINES:]


def traffic(seen: Observation) -> str:
    """Who answers users now, in one line."""
    if seen.weights is None:
        return "unknown: the router does not answer"
    if not seen.weights:
        return {"hold": "requests are held", "maintenance": "503 to everybody"}.get(seen.mode, "nobody serves")
    named = {slug: seen.releases[slug].version if slug in seen.releases else slug for slug in seen.weights}
    return ", ".join(f"{named[slug]} {share} %" for slug, share in seen.weights.items())
