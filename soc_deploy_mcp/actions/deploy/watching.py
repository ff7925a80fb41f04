"""The long observations of a rollout as activities: the baseline, judged steps, a pause, the look after the way back.

Each returns plain JSON: {"outcome": Outcome, "judged": what the next one goes on from, "word": for the step's row}.
"""

import asyncio
from collections.abc import Collection
from math import inf
from typing import Any

from soc_deploy_mcp.actions.deploy import conclude, probes
from soc_deploy_mcp.actions.deploy.carry import Carrier, router_problem, smoke_problem
from soc_deploy_mcp.actions.deploy.conclude import Purpose, Watch
from soc_deploy_mcp.actions.deploy.decide import Outcome, Pause
from soc_deploy_mcp.actions.deploy.figures import health_rows, judge_rows
from soc_deploy_mcp.actions.deploy.judge import Measured, StepInfo, Word, probes_wanted
from soc_deploy_mcp.actions.deploy.machine import RESUMABLE
from soc_deploy_mcp.actions.deploy.sight import Eyes, Figures
from soc_deploy_mcp.actions.deploy.stages import rules, stage, ticks, waiting_stages
from soc_deploy_mcp.actions.deploy.ticking import Ticking
from soc_deploy_mcp.actions.deploy.trail import Trail
from soc_deploy_mcp.actions.deploy.world import World
from soc_deploy_mcp.core.errors import DeployError
from soc_deploy_mcp.core.event import HealthSeen, Moved, Notice, State
from soc_deploy_mcp.core.ids import Slug, StepKey
from soc_deploy_mcp.core.plan import Bake, Judge, Plan, Verify
from soc_deploy_mcp.core.platform import Observation
from soc_deploy_mcp.engine.context import Activity, Json, Taken, Watching

Judged = Judge | Verify | Bake
UNKNOWN = (Word.NO_DATA, Word.ENV_UNHEALTHY)
# What the live view says beside an ACCEPT in a pause, which ends by a person only.
ENOUGH, ONLY_BACK = "enough evidence, waits for resume", "only the way back is left"


class Watcher:
    def __init__(self, plan: Plan, world: World, carrier: Carrier, trail: Trail) -> None:
        self.plan, self.world, self.carrier, self.trail = plan, world, carrier, trail
        self.eyes: Eyes = world.eyes(plan)

    # --- before the first weight

    def baseline(self) -> Activity:
        """Measure the old release and freeze what it is compared by. After this, nothing about the rules changes."""

        async def run(watch: Watching) -> Json:
            measured = await self.eyes.measure() if self.plan.old is not None else Measured()
            settings, targets = self.plan.settings.judge, self.plan.settings.health_checks
            waiting = waiting_stages(self.plan)
            synthetic = bool(waiting) and probes_wanted(settings, targets, measured, waiting)
            if synthetic and self.plan.old is not None:
                measured = await self.eyes.probe_baseline(measured)
            if synthetic:
                await watch.emit(Notice(level="note", text=self._on_probes(measured)), "synthetic")
            return {"measured": measured.to_json(), "synthetic": synthetic}

        return Activity({"baseline": self.plan.old.label if self.plan.old else None}, run)

    def _on_probes(self, measured: Measured) -> str:
        judge = self.plan.settings.judge
        paths = ", ".join(dict.fromkeys(one.path for one in probes.paths(self.plan)))
        users = "none counted yet" if measured.rps is None else f"{measured.rps:.1f}/s, too few to decide within a step"
        return f"judged on synthetic traffic ({judge.synthetic_rate:g}/s for each release on {paths}); users: {users}"

    # --- with weight

    def observation(self, op: Judged, spent_s: float = 0.0) -> Activity:
        """Watch until there is a reason to go on or to go back, or the time is over. `spent_s`: of the limit, what
        earlier looks at the same step have used up (R9)."""
        purpose = purpose_of(op)
        one = stage(self.plan, op)
        assert one is not None
        weight = one.weight

        async def run(watch: Watching) -> Json:
            left = max(0.0, one.max_s - spent_s) if purpose == "accept" else one.max_s
            looking = Watch(purpose, watch.started_at, one.min_s, left, watch.now())
            ticking = await self._begin(watch, op, weight, looking)
            try:
                ended = await self._still(watch, ticking) if ticking.paused else None
                outcome = ended or await self._until(watch, ticking, looking, weight)
                if isinstance(op, Verify):
                    outcome = await self._verified(watch, ticking, op, outcome)
                return await self._result(watch, ticking, outcome)
            finally:
                await self.eyes.close()

        return Activity({"observe": op.kind, "weight": weight}, run)

    def holding(self, pause: Pause, limit_s: float) -> Activity:
        """Paused with users on the new release: the judge goes on looking, a person decides."""
        weight = self.trail.weight

        async def run(watch: Watching) -> Json:
            looking = Watch("hold", watch.started_at, 0.0, limit_s)
            # With everybody on the new release there is nothing left to compare it with.
            everybody = Verify(window_s=0.0, max_s=limit_s)
            op = everybody if weight == 100 else Judge(new=max(weight, 1), min_s=0.0, max_s=limit_s)
            # Where users cannot be taken off the new release for a while, what a retreat would answer ends no pause.
            stays = self.trail.shrunk or self.plan.old is None
            kept = {"env_unhealthy", *(() if self.plan.auto_rollback else ("no_data",))} if stays else set()
            ticking = await self._begin(watch, op, weight, looking)
            ticking.held = ENOUGH if pause.reason in RESUMABLE else ONLY_BACK
            try:
                latched = pause.reason == "health_failed"
                outcome = await self._until(watch, ticking, looking, weight, latched=latched, kept=kept)
                return await self._result(watch, ticking, outcome)
            finally:
                await self.eyes.close()

        return Activity({"hold": pause.reason, "weight": weight}, run)

    async def _begin(self, watch: Watching, op: Judged, weight: int, looking: Watch) -> Ticking:
        one = stage(self.plan, op)
        assert one is not None
        measured = Measured.from_json(self.trail.measured["measured"]) if self.trail.measured else Measured()
        synthetic = self.trail.measured.get("synthetic", self.plan.settings.judge.synthetic != "off")
        specs = rules(self.plan, measured, one, synthetic=synthetic)
        # Only who waits for acceptance is told that the time is over; a window that just passes is no HOLD.
        limit = looking.max_s if looking.purpose == "accept" else inf
        step = StepInfo(watch.started_at, looking.min_s, limit, self.plan.settings.judge.min_samples)
        key = StepKey(self.trail.step.key if self.trail.step else "observe")
        ticking = Ticking(watch, self.eyes, specs, step, self.world, key, weight)
        await ticking.begin(measured, self.trail.judged, ticks(self.plan), synthetic=synthetic)
        return ticking

    async def _until(
        self,
        watch: Watching,
        ticking: Ticking,
        looking: Watch,
        weight: int,
        *,
        latched: bool = False,
        kept: Collection[str] = (),
    ) -> Outcome:
        """The loop: one tick, one decision. `latched`: the failure is known, only a new one ends the wait; `kept`:
        outcomes that do not end it either."""
        sick: float | None = None
        known: Word | None = None
        while True:
            if ended := await self._ordered(watch, ticking, looking):
                return ended
            said = await ticking.tick()
            if said.word is Word.ACCEPT and ticking.held == ENOUGH and not ticking.paused:
                await self._tell_enough(watch, ticking)
            sick = conclude.sick_since(sick, said, watch.now())
            moved = moved_by_others(ticking.seen.seen if ticking.seen else None, self.carrier.weights(weight))
            if moved and not (moved.end == "drift" and looking.purpose == "hold"):  # paused, we fight nobody
                return moved
            known = known or (said.word if latched else None)
            outcome = conclude.conclusion(looking, said, sick, ticking.requests, watch.now())
            repeated = latched and outcome is not None and outcome.end in ("bad", "no_data") and said.word is known
            if outcome is not None and not repeated and outcome.end not in kept:
                return outcome
            if ticking.promoted and not ticking.paused and said.word not in UNKNOWN:
                spent = watch.now() - looking.started_at
                return Outcome(end="promoted", code="PROMOTED", by=ticking.promoted, seconds=spent)
            await watch.pause(self.plan.settings.judge.tick)

    async def _tell_enough(self, watch: Watching, ticking: Ticking) -> None:
        """Once in a pause that no person made: whoever waits for evidence is told that there is some."""
        if not ticking.told_enough:
            ticking.told_enough = True
            version = self.plan.new.version
            text = f"there is enough evidence for {version} now; the run stays paused until a person says resume"
            await watch.emit(Notice(level="note", text=text), f"enough/{watch.now():.3f}")
            await watch.save(ticking.left())

    async def _ordered(self, watch: Watching, ticking: Ticking, looking: Watch) -> Outcome | None:
        """What people asked for since the last tick."""
        taken = await watch.take("pause", "resume", "promote")
        if taken is None or ticking.held == ONLY_BACK:
            return None
        if taken.name == "resume":
            return Outcome(end="resumed", by=taken.by) if looking.purpose == "hold" else None
        if taken.name == "promote":
            return await self._promoted(watch, ticking, looking, taken)
        return await self._stand_still(watch, ticking, taken) if looking.purpose != "hold" else None

    async def _promoted(self, watch: Watching, ticking: Ticking, looking: Watch, taken: Taken) -> Outcome | None:
        """Skips the rest of this wait and of no other; never a REJECT (that ended the observation), and not before
        something is known: an order that comes in a gap of the data is obeyed after it."""
        if looking.purpose == "hold":
            return Outcome(end="resumed", by=taken.by)
        meant = (taken.payload or {}).get("step", ticking.key)
        if meant != ticking.key:
            text = f"promote by {taken.by} was not obeyed: it was typed for a step that is over"
            await watch.emit(Notice(level="note", text=text), f"promote/{watch.now():.3f}")
            return None
        ticking.promoted = taken.by
        if ticking.last is None or ticking.last.word in UNKNOWN:
            text = f"promote by {taken.by} waits: nothing is known about the new release now"
            await watch.emit(Notice(level="note", text=text), f"promote/{watch.now():.3f}")
        return None

    async def _stand_still(self, watch: Watching, ticking: Ticking, taken: Taken) -> Outcome | None:
        """A person's pause: the judge goes on looking, nothing goes forward. Kept at once: it survives a restart."""
        await _forget(watch, "pause")
        unattended = bool((taken.payload or {}).get("unattended"))
        ticking.paused = {"by": taken.by, "at": watch.now(), "unattended": unattended}
        # Said before it is kept: a run that stands still and does not say so could not be resumed.
        moved = Moved(state=State.PAUSED, reason="operator", why=f"paused by {taken.by}")
        await watch.emit(moved, f"pause/{watch.now():.3f}")
        await watch.save(ticking.left())
        return await self._still(watch, ticking)

    async def _still(self, watch: Watching, ticking: Ticking) -> Outcome | None:
        """Until a person says go on (None), or there is a reason to end the observation."""
        assert ticking.paused is not None
        unattended = ticking.paused["unattended"]
        if unattended:
            await self._unguarded(watch)
        limit = self.plan.settings.deploy.pause_expires
        ticking.patient(ticking.step.max_s + limit)
        ticking.held = ENOUGH
        still = Watch("hold", float(ticking.paused["at"]), 0.0, limit)
        outcome = await self._until(watch, ticking, still, ticking.weight)
        if outcome.end != "resumed":
            return outcome
        await _forget(watch, "resume", "promote")
        ticking.paused, ticking.held = None, ""
        resumed = Moved(state=State(self.trail.phase), why=f"resumed by {outcome.by}")
        await watch.emit(resumed, f"resume/{watch.now():.3f}")
        return outcome if unattended else None  # begun anew, with the timer

    async def _unguarded(self, watch: Watching) -> None:
        """Switch the dead-man timer off. That it stays on is told, and no reason to end a pause."""
        try:
            await self.world.platform.renew(self.plan.target, watch.epoch, None)
        except DeployError as error:
            text = f"the dead-man timer is still on: {error.what}"
            await watch.emit(Notice(level="warning", text=text), f"unattended/{watch.now():.3f}")

    async def _result(self, watch: Watching, ticking: Ticking, outcome: Outcome) -> Json:
        word = conclude.row_word(outcome)
        rows = judge_rows(self.plan, ticking.last, ticking.specs) if ticking.specs.concurrent else self.trail.judge_rows
        toll = await self._toll(ticking)
        left = ticking.left()
        return {"outcome": outcome.to_json(), "judged": left, "word": word, "rows": rows, "toll": toll}

    async def _toll(self, ticking: Ticking) -> dict[str, Any] | None:
        """What users met so far."""
        users, said = ticking.specs.users, ticking.last
        reading = next((r for r in said.readings if users and r.metric == users.name), None) if said else None
        if reading is None or said is None:
            return None
        return {
            "requests_new": reading.canary_run.n,
            "errors_new": reading.canary_run.x,
            "excess_errors": round(max(said.cost.excess, 0.0), 2),
            "budget_share": said.cost.budget_share,
            "lost": await self.eyes.lost(),
        }

    # --- verification

    async def _verified(self, watch: Watching, ticking: Ticking, op: Verify, outcome: Outcome) -> Outcome:
        """The smoke list once more, as users; then the table of figures."""
        if outcome.end in ("accepted", "looked", "promoted") and (problem := await self._as_users(self.plan.new.slug)):
            outcome = Outcome(end="bad", code="SMOKE", why=problem, seconds=outcome.seconds)
        figures = await self.eyes.figures(self.plan.new.slug, max(op.window_s, outcome.seconds))
        seen = ticking.seen.seen if ticking.seen else None
        await self._tell_health(watch, self.plan.new.version, self.plan.new.slug, figures, seen, op.window_s)
        return outcome

    def after_back(self) -> Activity:
        """The restored release: is it ready, does it answer users, and with which figures?"""
        old, window = self.plan.old, self.plan.settings.deploy.verify_window

        async def run(watch: Watching) -> Json:
            assert old is not None
            while watch.now() - watch.started_at < window:
                await watch.pause(min(1.0, window))
            seen = await self.carrier.heard(old.slug, 1)
            problem = router_problem(seen, {old.slug: 100}) or await self._as_users(old.slug)
            figures = await self.eyes.figures(old.slug, window)
            await self._tell_health(watch, old.version, old.slug, figures, seen, window)
            end = Outcome(end="bad", code="SMOKE", why=problem) if problem else Outcome(end="looked")
            return {"outcome": end.to_json(), "judged": self.trail.judged}

        return Activity({"verify": old.label if old else None}, run)

    async def _as_users(self, expected: Slug) -> str:
        """What is wrong with the answers users get, or ""."""
        for wanted in self.plan.new.spec.smoke_list:
            problem = ""
            for _ in range(3):
                probe = await self.carrier.answered(None, wanted.path, tries=1)
                problem = smoke_problem(probe, wanted, expected)
                if not problem:
                    break
                await asyncio.sleep(0.2)
            if problem:
                return f"GET {wanted.path} through the entry: {problem}"
        return ""

    async def _tell_health(
        self, watch: Watching, version: str, slug: Slug, figures: Figures, seen: Observation | None, window: float
    ) -> None:
        rows = health_rows(self.plan, figures, seen, slug)
        told = HealthSeen(release=version, window_s=window, rows=(*rows, *self.trail.health_rows()))
        await watch.emit(told, f"health/{version}")


def purpose_of(op: Judged) -> Purpose:
    match op:
        case Bake():
            return "bake"
        case Judge(accept=False):
            return "look"
        case Verify(accept=False):
            return "back"
        case _:
            return "accept"


async def _forget(watch: Watching, *names: str) -> None:
    """Orders that say once more what was just obeyed. Kept, they would be obeyed at the next occasion."""
    while await watch.take(*names):
        pass


def moved_by_others(seen: Observation | None, wanted: dict[Slug, int]) -> Outcome | None:
    """Weights that are not ours: an own retreat by the timer beside the router, or somebody else's hand."""
    if seen is None or seen.weights is None or dict(seen.weights) == wanted:
        return None
    if seen.dead_man.fired_at is not None:
        return Outcome(end="dead_man", why="the dead-man timer returned the traffic while nobody held it", by="router")
    return Outcome(end="drift", why=f"the router shows {dict(seen.weights)}, this run set {wanted}", by="somebody else")
