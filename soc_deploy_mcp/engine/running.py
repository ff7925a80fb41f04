"""The verbs of a program on our own journal: intent before the effect, outcome after it, both only while it is ours."""

import json
from collections.abc import Awaitable, Callable
from typing import Any

from soc_deploy_mcp.core.canonical import canonical
from soc_deploy_mcp.core.event import Entry, Payload, Record
from soc_deploy_mcp.core.ids import Epoch, Instant, RunId, StepKey
from soc_deploy_mcp.engine import memory, signals, watching
from soc_deploy_mcp.engine.context import Aborted, Activity, Attempt, Effect, Json, Lost, Passage, Taken
from soc_deploy_mcp.engine.deadline import Deadline
from soc_deploy_mcp.engine.gate import pass_gate
from soc_deploy_mcp.engine.hold import Hold, Seat
from soc_deploy_mcp.engine.journal import rows_of
from soc_deploy_mcp.engine.memory import INTENT, OBSERVED, Memory
from soc_deploy_mcp.engine.runs import Run
from soc_deploy_mcp.engine.store import Tx
from soc_deploy_mcp.engine.watching import Watch

Also = Callable[[Tx, RunId, StepKey], None]


def nothing(tx: Tx, run: RunId, key: StepKey) -> None:
    """Nothing else is written with the row."""


class Running:
    """`Walking`, so `Context` too, for one execution of a run by this node."""

    def __init__(self, seat: Seat, run: Run) -> None:
        self.hold = Hold(seat, run)
        self.following: Run | None = None  # the run behind the gate, once passed
        self._seat = seat
        self._memory = Memory(())
        self._used: set[StepKey] = set()
        self._now = run.created_at

    async def remember(self, *, replays: bool, program: str) -> None:
        """Read what this program did before, and what was said to the run while nobody carried it."""
        rows, abort = await self._seat.journal.store.read(
            lambda tx: (rows_of(tx, self.run), signals.abort_of(tx, self.run))
        )
        rows = memory.phase_of(rows, program, replays=replays)
        self._memory = Memory(rows)
        self._now = rows[0].at
        if abort is not None:
            self.hold.signalled(abort)

    @property
    def run(self) -> RunId:
        return self.hold.run

    @property
    def epoch(self) -> Epoch:
        return self.hold.epoch

    def now(self) -> Instant:
        return self._now

    async def act(self, key: StepKey, effect: Effect) -> Json:
        if (seen := self._enter(key)) is not None:
            return memory.result(seen.payload)
        number = await self._intend(key, {"what": effect.what})
        outcome = await self._outcome(effect.run(Attempt(self.epoch, number)), effect.timeout_s)
        return memory.result(await self._observe(key, outcome))

    async def watch(self, key: StepKey, activity: Activity) -> Json:
        if (seen := self._enter(key)) is not None:
            return memory.result(seen.payload)
        number = await self._intend(key, {"what": activity.what}, watching.start)
        saved = await watching.saved(self.hold, key) if number > 1 else None
        first = self._memory.intent(key)
        watch = Watch(self.hold, key, first.at if first else self._wall(), saved)
        outcome = await self._outcome(activity.run(watch), None)
        return memory.result(await self._observe(key, outcome, watching.end))

    async def wait(self, key: StepKey, names: tuple[str, ...], timeout: float) -> Taken | None:
        if (seen := self._enter(key)) is not None:
            return memory.taken(seen.payload)
        deadline = await self._deadline(key, {"wait": list(names)}, timeout)
        while True:
            over = deadline.left <= 0

            def look(tx: Tx, over: bool = over) -> Record | None:
                self.hold.heed_abort(tx)
                taken = signals.take(tx, self.run, names, key)
                if taken is None and not over:
                    return None
                return self.hold.append(tx, Entry(kind=OBSERVED, key=key, payload=memory.took(taken)))

            record = await self.hold.write(look, unwritten=lambda: None)
            if record is not None:
                return memory.taken(self._keep(record).payload)
            if over:  # on the way back, without a journal
                return None
            await deadline.news()

    async def sleep(self, key: StepKey, seconds: float) -> None:
        if self._enter(key) is not None:
            return
        deadline = await self._deadline(key, {"sleep": seconds}, seconds)
        while deadline.left > 0:
            await deadline.news()
        await self._observe(key, {"result": None})

    async def emit(self, event: Payload, key: str) -> None:
        entry = event.entry(key)
        if (seen := self._memory.emitted(entry)) is not None:
            self._now = seen.at
            return
        record = await self.hold.write(lambda tx: self.hold.append(tx, entry), unwritten=lambda: None)
        if record is not None:
            self._keep(record)

    async def take(self, key: StepKey, *names: str) -> Taken | None:
        if (seen := self._enter(key)) is not None:
            return memory.taken(seen.payload)

        def look(tx: Tx) -> Record | None:
            taken = signals.take(tx, self.run, names, key)
            return self.hold.append(tx, Entry(kind=OBSERVED, key=key, payload=memory.took(taken)))

        record = await self.hold.write(look, unwritten=lambda: None)
        return None if record is None else memory.taken(self._keep(record).payload)

    async def past_abort(self) -> None:
        self.hold.shield()

    async def way_back(self) -> None:
        self.hold.returning = True
        self.hold.shield()

    async def pass_gate(self, passage: Passage) -> None:
        def through(tx: Tx) -> Run:
            self.hold.heed_abort(tx)
            return pass_gate(tx, self._seat.journal, self.run, self._seat.node, passage)

        self.following = await self.hold.write(through)

    # --- one step

    def _enter(self, key: StepKey) -> Record | None:
        """The outcome this step had already. A key names one step of a run: used twice, a replay would go astray."""
        if key in self._used:
            raise ValueError(f"step key {key!r} is used twice")
        self._used.add(key)
        seen = self._memory.observed(key)
        if seen is None:
            self.hold.check()
        else:
            self._now = seen.at
        return seen

    async def _intend(self, key: StepKey, what: dict[str, Any], also: Also = nothing) -> int:
        """The number of this attempt. Raises Aborted: whoever sent it may have sent it to a process that died."""
        number = self._memory.attempts(key) + 1

        def write(tx: Tx) -> Record | None:
            self.hold.heed_abort(tx)
            also(tx, self.run, key)
            return self.hold.append(tx, Entry(kind=INTENT, key=key, payload=what | {"attempt": number}))

        record = await self.hold.write(write, unwritten=lambda: None)
        if record is not None:
            self._keep(record)
        return number

    async def _outcome(self, work: Awaitable[Json], timeout: float | None) -> dict[str, Any]:
        """How an effect ended, as it is journalled. An interruption is no outcome."""
        try:
            return {"result": json.loads(canonical(await self.hold.race(work, timeout)))}
        except (Aborted, Lost):
            raise
        except Exception as error:
            return memory.failure(error)

    async def _observe(self, key: StepKey, outcome: dict[str, Any], also: Also = nothing) -> dict[str, Any]:
        def write(tx: Tx) -> Record | None:
            also(tx, self.run, key)
            return self.hold.append(tx, Entry(kind=OBSERVED, key=key, payload=outcome))

        record = await self.hold.write(write, unwritten=lambda: None)
        return outcome if record is None else self._keep(record).payload

    async def _deadline(self, key: StepKey, what: dict[str, Any], seconds: float) -> Deadline:
        """Absolute, and journalled when the step began: a restart does not move it."""
        if (begun := self._memory.intent(key)) is None:
            at = Instant(self._wall() + seconds)
            await self._intend(key, what | {"deadline": at})
        else:
            at = begun.payload["deadline"]
        return Deadline(self.hold, at, seconds)

    def _keep(self, record: Record) -> Record:
        self._memory.add(record)
        self._now = record.at
        return record

    def _wall(self) -> Instant:
        return self._seat.journal.store.now()
