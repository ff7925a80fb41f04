"""The program that carries a plan out: its steps in order, observe, judge, decide, go on or go back.

It is run again from its start after a crash; every verb of the context returns what it returned the first time, by
the name of its step, so the program arrives where it was. It holds nothing that is not a function of those answers.
"""

from collections.abc import Awaitable
from itertools import count

from soc_deploy_mcp.actions.deploy import decide
from soc_deploy_mcp.actions.deploy.back import GoingBackProgram
from soc_deploy_mcp.actions.deploy.beat import Beat
from soc_deploy_mcp.actions.deploy.carry import Carrier
from soc_deploy_mcp.actions.deploy.decide import Again, GoBack, GoOn, Outcome, Pause
from soc_deploy_mcp.actions.deploy.ending import Ending
from soc_deploy_mcp.actions.deploy.machine import RESUMABLE, may_follow
from soc_deploy_mcp.actions.deploy.migrations import MigrationRan
from soc_deploy_mcp.actions.deploy.trail import Trail
from soc_deploy_mcp.actions.deploy.watching import Watcher
from soc_deploy_mcp.actions.deploy.world import World
from soc_deploy_mcp.core import plan as p
from soc_deploy_mcp.core.errors import DeployError
from soc_deploy_mcp.core.event import (
    Downtime,
    ErrorSeen,
    GoingBack,
    LineageChanged,
    Moved,
    Notice,
    State,
    StepEnded,
    StepStarted,
    TrafficBack,
)
from soc_deploy_mcp.core.ids import StepKey
from soc_deploy_mcp.engine.context import Aborted, Context, Json

BY_HAND = "by hand"  # why a rollback goes back: somebody asked for it


class BackWanted(Exception):
    """The rollout goes back. Carries the decision to the one place that does it."""

    def __init__(self, back: GoBack) -> None:
        super().__init__(back.why)
        self.back = back


class Rollout:
    """One execution of one plan, of a deploy or of a rollback."""

    def __init__(self, ctx: Context, plan: p.Plan, world: World) -> None:
        self.ctx, self.plan, self.world = ctx, plan, world
        self.carrier = Carrier(plan, world)
        self.trail = Trail()
        self.watcher = Watcher(plan, world, self.carrier, self.trail)
        self.ending = Ending(ctx, plan, world, self.carrier, self.trail)
        self.beat = Beat(world.platform, plan.target, ctx.epoch, plan.settings.deploy.lease_s)
        self.due = 0.0  # by the steady clock: when the step must be done

    async def run(self) -> None:
        """To a terminal state. Only Lost leaves it early: then another owner carries the run on."""
        async with self.beat:
            try:
                await self._forward()
            except Aborted as aborted:
                back = GoBack("operator", aborted.reason, aborted.by)
            except BackWanted as wanted:
                back = wanted.back
            except DeployError as error:
                back = self._unwritten(error)
            else:
                await self.ctx.past_abort()
                await self._left_behind()
                await self.ending.finish(State.SUCCEEDED)
                return
            await self.ctx.way_back()
            going_back = GoingBackProgram(self.ctx, self.plan, self.carrier, self.trail, self.watcher)
            state = await going_back.run(back)
            await self.beat.off()
            await self.ending.finish(state)

    async def _forward(self) -> None:
        if self.plan.action == "deploy":
            await self.ctx.emit(LineageChanged(change="registered", release=self.plan.new), "lineage/registered")
        else:
            why = self.plan.reason or "asked for by hand"
            await self.ctx.emit(GoingBack(code=BY_HAND, why=why, by="operator"), "rollback/decided")
            self.trail.decided = self.ctx.now()
        await self.ending.announce_start()
        for step in self.plan.steps:
            await self._step(step)

    def _unwritten(self, error: DeployError) -> GoBack:
        """Without a journal nothing goes forward. Users are taken back from what nobody could remember; a rollout that
        they have not noticed yet waits until the journal can be written."""
        if error.code != "E_JOURNAL" or not self.trail.touched:
            raise error
        return GoBack(error.code, error.what, "soc-deploy")

    async def _left_behind(self) -> None:
        """What a rollback returned from is quarantined until somebody deploys it again by name."""
        if self.plan.action == "rollback" and self.plan.old is not None:
            why = self.plan.reason or "rolled back from by hand"
            await self.ctx.emit(LineageChanged(change="quarantined", release=self.plan.old, why=why), "lineage/left")

    # --- one step

    async def _step(self, step: p.Step) -> None:
        if self.trail.phase != step.phase:
            self.trail.phase = step.phase
            await self._moved(State(step.phase), f"{step.key}/phase")
        await self.ctx.emit(StepStarted(step=step.key, row=step.row), f"{step.key}/started")
        self.trail.begin(step)
        spent = max(0.0, self.world.clock.wall() - self.ctx.now())  # by an earlier owner, and while there was none (R9)
        self.due = self.world.clock.monotonic() + step.deadline_s - spent
        try:
            for index, op in enumerate(step.ops):
                await self._op(op, StepKey(f"{step.key}/{index}-{op.kind}"))
        except DeployError as error:
            await self._failed(step, error)
        except TimeoutError:
            what = f"{step.row} was not done within {step.deadline_s:.0f} s"
            await self._failed(step, DeployError("E_START_TIMEOUT", what))
        self.trail.open = False
        await self.ctx.emit(StepEnded(step=step.key, row=self.trail.row(), status="ok"), f"{step.key}/ended")

    async def _failed(self, step: p.Step, error: DeployError) -> None:
        """A step that cannot be done: back, or, with users on the new release and nobody's leave to go back, wait.
        Where requests are held nobody serves, and waiting for a person would be an outage."""
        seen = ErrorSeen(code=error.code, what=error.what, why=error.why, try_=error.try_)
        await self.ctx.emit(seen, f"{step.key}/error")
        if not self.trail.weight or self.plan.auto_rollback or self.trail.hold_since is not None:
            raise BackWanted(GoBack(error.code, error.what, "soc-deploy"))
        pause = Pause("health_failed", f"{error.code}: {error.what}", self.plan.settings.deploy.decision_timeout)
        await self._paused(pause, StepKey(f"{step.key}/failed"))
        raise BackWanted(GoBack(error.code, error.what, "soc-deploy"))

    # --- one operation

    async def _op(self, op: p.Op, key: StepKey) -> None:
        carrier = self.carrier
        match op:
            case p.Migrate():
                await self._migrate(op, key)
            case p.Ensure(side=side, instances=instances):
                self._shrinks(side, instances)
                await self.ctx.act(key, carrier.ensure(side, instances, self._left()))
            case p.Settle(seconds=seconds):
                await self.ctx.act(key, carrier.settle(seconds))
            case p.SmokeTest(side=side):
                await self.ctx.act(key, carrier.smoke(side, self._left()))
            case p.Baseline():
                self.trail.measured = await self.ctx.watch(key, self.watcher.baseline())
            case p.Shift():
                await self._shift(op, key)
            case p.Confirm(new=new):
                await self._confirm(new, key)
            case p.Judge() | p.Verify() | p.Bake():
                await self._untimed(self._observe(op, key))
            case p.MarkStable():
                await self.ctx.emit(LineageChanged(change="stable", release=self.plan.new), key)
            case p.Drain(side=side):
                self._shrinks(side, 0)
                await self._told_cut_off(await self.ctx.act(key, carrier.drain(side)), key)
            case p.Remove(side=side):
                self._shrinks(side, 0)
                await self.ctx.act(key, carrier.remove(side))
                gone = LineageChanged(change="retired", release=carrier.release(side))
                await self.ctx.emit(gone, f"{key}/retired")
            case p.Incident():
                await self.ending.incident(key)

    def _shrinks(self, side: p.Side, left: int) -> None:
        """Before the write: one that is interrupted may have happened."""
        if side == "old":
            self.trail.old_left = left

    async def _untimed(self, wait: Awaitable[None]) -> None:
        """Evidence and people have limits of their own: the step's stands still for them, in a replay too."""
        since, steady = self.ctx.now(), self.world.clock.monotonic()
        await wait
        self.due += max(self.ctx.now() - since, self.world.clock.monotonic() - steady)

    async def _migrate(self, op: p.Migrate, key: StepKey) -> None:
        migration = next(m for m in self.plan.new.spec.migrations if m.id == op.id)

        async def run() -> Json:
            ran = await self.world.migrations.run(self.plan.target, self.plan.new, migration)
            return {"exit_code": ran.exit_code, "seconds": ran.seconds, "checksum": ran.checksum, "output": ran.output}

        ran = await self.ctx.act(key, self.carrier.calling(f"migration {op.id}", run, self._left()))
        row = MigrationRan(
            id=op.id,
            class_=migration.class_,
            checksum=ran["checksum"],
            seconds=ran["seconds"],
            exit_code=ran["exit_code"],
        )
        await self.ctx.emit(row, f"{key}/ran")
        if ran["exit_code"] == 0:
            return
        await self.ctx.emit(Notice(level="warning", text=ran["output"], untrusted=True), f"{key}/output")
        failed = f"migration {op.id} ended with exit code {ran['exit_code']}"
        if op.needed:
            raise DeployError("E_MIGRATION_FAILED", failed, "its output is under Issues & Notes")
        await self.ctx.emit(Notice(level="warning", text=f"{failed}; the release works without it"), f"{key}/failed")

    async def _shift(self, op: p.Shift, key: StepKey) -> None:
        # While requests are held nobody serves: a pause is obeyed as soon as somebody does.
        held = self.trail.hold_since is not None
        if not held and (taken := await self.ctx.take(StepKey(f"{key}/pause"), "pause")):
            pause = Pause("operator", f"paused by {taken.by}", None)
            await self._untimed(self._paused(pause, StepKey(f"{key}/paused")))
        first = not self.trail.touched
        self.trail.touched, self.trail.weight = True, op.new
        if op.new:
            self.trail.shift = op
        await self.ctx.act(key, self.carrier.shift(op.new, hold=op.hold, dead_man=op.dead_man))
        if op.dead_man and self.plan.old is not None:
            self.beat.on()
        if op.hold:
            self.trail.hold_since = self.ctx.now()
        elif self.trail.hold_since is not None:
            await self._told_downtime(key)
        if first and op.new:
            await self.ctx.emit(LineageChanged(change="live", release=self.plan.new), f"{key}/live")
        if op.new == 100:
            await self.ctx.emit(LineageChanged(change="active", release=self.plan.new), f"{key}/active")
            if self.trail.decided is not None:
                back = TrafficBack(seconds=self.ctx.now() - self.trail.decided, to=self.plan.new.version)
                await self.ctx.emit(back, f"{key}/back")

    async def _confirm(self, new: int, key: StepKey) -> None:
        for attempt in range(1, 4):
            here = StepKey(f"{key}#{attempt}" if attempt > 1 else key)
            if (await self.ctx.act(here, self.carrier.confirm(new)))["agrees"]:
                return
            await self._restored("the dead-man timer returned the traffic", here)
        raise DeployError("E_WEIGHTS", "the dead-man timer returned the traffic three times", "", "soc-deploy status")

    async def _observe(self, op: p.Judge | p.Verify | p.Bake, key: StepKey) -> None:
        """Watch until there is a reason to go on. An observation that begins again is a new one in the journal; its
        limit begins again only when a person or the plan said so (R9)."""
        if isinstance(op, p.Bake):
            await self.beat.off()
            await self.ctx.act(StepKey(f"{key}/dead-man-off"), self.carrier.dead_man(None))
            if self.trail.shift is not None:  # nor is it armed again by what is restored in here
                self.trail.shift = self.trail.shift.model_copy(update={"dead_man": False})
        extended, since = False, self.ctx.now()
        for attempt in range(1, 1000):
            here = StepKey(f"{key}#{attempt}" if attempt > 1 else key)
            result = await self.ctx.watch(here, self.watcher.observation(op, self.ctx.now() - since))
            outcome = self.trail_after(result)
            move = decide.after(
                outcome, self.plan.settings.deploy, auto_rollback=self.plan.auto_rollback, extended=extended
            )
            match move:
                case GoOn():
                    return
                case GoBack():
                    raise BackWanted(move)
                case Pause():
                    await self._paused(move, StepKey(f"{here}/paused"))
                case Again(why=why):
                    extended = extended or outcome.end == "hold"
                    await self._restored(why, here)
            if outcome.end != "dead_man":
                since = self.ctx.now()
        raise BackWanted(GoBack("E_INTERNAL", "the observation was begun a thousand times", "soc-deploy"))

    def trail_after(self, result: Json) -> Outcome:
        """Keep what an observation found out; its outcome."""
        self.trail.judged = result["judged"]
        self.trail.judge_rows = result.get("rows", self.trail.judge_rows)
        self.trail.toll = result.get("toll") or self.trail.toll
        if self.trail.step is not None and result.get("word"):
            self.trail.words[self.trail.step.key] = result["word"]
        return Outcome.from_json(result["outcome"])

    # --- holding still

    async def _paused(self, pause: Pause, key: StepKey) -> None:
        """Returns when a person said go on, with the traffic as the step had it; goes back when nobody decides."""
        await self._forgotten(key)
        await self._moved(State.PAUSED, f"{key}/state", pause.reason, pause.why)
        await self.ending.page("paused", f"{pause.reason}: {pause.why}", key)
        resumable = pause.reason in RESUMABLE
        if self.trail.weight:
            stays = pause.retreat_after is None or not self._may_retreat()
            limit = self._expires() if stays else pause.retreat_after or 0.0
            result = await self.ctx.watch(key, self.watcher.holding(pause, limit))
            outcome = self.trail_after(result)
            if outcome.end == "resumed":
                await self._resumed(outcome.by, key)
                return
            if stays and outcome.end == "expired":
                raise BackWanted(GoBack("EXPIRED", "nobody decided in time", "clock"))
            if self.plan.auto_rollback and (outcome.end == "bad" or not self._may_retreat()):
                raise BackWanted(GoBack(outcome.code, outcome.why, outcome.by))
            await self._retreat(key)
            if outcome.end == "bad" and resumable:
                resumable = False  # a resume that was typed before is not obeyed any more
                await self._moved(State.PAUSED, f"{key}/failed", "health_failed", f"{outcome.code}: {outcome.why}")
        await self._decision(key, resumable=resumable)

    async def _forgotten(self, key: StepKey) -> None:
        """Orders that were typed before there was anything to resume. What comes once the pause is told is obeyed."""
        for number in count(1):
            if await self.ctx.take(StepKey(f"{key}/before#{number}"), "resume", "promote") is None:
                return

    async def _decision(self, key: StepKey, *, resumable: bool) -> None:
        """With no users on the new release, or no way to take them off it, a person is waited for."""
        here = StepKey(f"{key}/decision")
        taken = await self.ctx.wait(here, ("resume",), self._expires()) if resumable else None
        if not resumable:
            await self.ctx.sleep(here, self._expires())
        if taken is None:
            raise BackWanted(GoBack("EXPIRED", "nobody decided in time", "clock"))
        await self._resumed(taken.by, key)

    def _may_retreat(self) -> bool:
        return not self.trail.shrunk and self.plan.old is not None

    async def _retreat(self, key: StepKey) -> None:
        """Weight 0, the new release kept. Rolling and recreate cannot: there, only the way back returns the traffic."""
        if not self._may_retreat():
            return
        assert self.plan.old is not None
        await self.beat.off()
        await self.ctx.act(StepKey(f"{key}/retreat"), self.carrier.shift(0))
        back = f"all requests went back to {self.plan.old.version}; {self.plan.new.version} is kept at weight 0"
        await self.ctx.emit(Notice(level="warning", text=back), f"{key}/retreated")

    async def _resumed(self, by: str, key: StepKey) -> None:
        await self._moved(State(self.trail.phase), f"{key}/resumed", "", f"resumed by {by}")
        await self._restored(f"resumed by {by}", StepKey(f"{key}/resume"))

    async def _restored(self, why: str, key: StepKey) -> None:
        """Put the traffic where the step had it: an own retreat or a resumed pause begins again from there."""
        await self.ctx.emit(Notice(level="note", text=why), f"{key}/again")
        shift = self.trail.shift
        if shift is None or not self.trail.weight:
            return
        await self.ctx.act(StepKey(f"{key}/restore"), self.carrier.shift(shift.new, dead_man=shift.dead_man))
        if shift.dead_man and self.plan.old is not None:
            self.beat.on()

    # --- small things

    def _left(self) -> float:
        """Seconds to the step's deadline, which restarts do not move (R9)."""
        return max(1.0, self.due - self.world.clock.monotonic())

    def _expires(self) -> float:
        return self.plan.settings.deploy.pause_expires

    async def _moved(self, state: State, key: str, reason: str = "", why: str = "") -> None:
        if not may_follow(self.trail.state, state):
            raise DeployError("E_INTERNAL", f"{state} cannot follow {self.trail.state}", "a defect of ours")
        self.trail.state = state
        await self.ctx.emit(Moved(state=state, reason=reason, why=why), key)

    async def _told_cut_off(self, result: Json, key: StepKey) -> None:
        if cut := result["cut_off"]:
            text = f"{cut} running request(s) were cut off when the drain time was over"
            await self.ctx.emit(Notice(level="minor", text=text), f"{key}/cut-off")

    async def _told_downtime(self, key: StepKey) -> None:
        since, self.trail.hold_since = self.trail.hold_since, None
        if since is not None:
            seconds = self.ctx.now() - since
            if self.trail.step is not None:
                self.trail.words["verify"] = f"downtime {seconds:.1f} s"
            await self.ctx.emit(Downtime(seconds=seconds), f"{key}/downtime")


async def carry_out(ctx: Context, plan: p.Plan, world: World) -> None:
    """The program `deploy/1` and `rollback/1`: the same walk over different steps."""
    await Rollout(ctx, plan, world).run()
