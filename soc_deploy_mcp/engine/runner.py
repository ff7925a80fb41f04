"""Carries runs: takes those nobody carries, drives their programs as tasks, and hands them what is said to them.

A run is rows, not a thread: one that waits costs a task that sleeps. Nobody asks for a run to be resumed; whoever
starts next finds it.
"""

import asyncio
import logging
from collections.abc import Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass

from soc_deploy_mcp.core.errors import DeployError
from soc_deploy_mcp.core.event import Entry, State
from soc_deploy_mcp.core.ids import Instant, RunId
from soc_deploy_mcp.core.model import Noun
from soc_deploy_mcp.core.release import Target
from soc_deploy_mcp.engine import ending, lease, runs, signals
from soc_deploy_mcp.engine.clock import Clock, SystemClock
from soc_deploy_mcp.engine.context import Json, Lost, Walk
from soc_deploy_mcp.engine.hold import Seat
from soc_deploy_mcp.engine.journal import Journal
from soc_deploy_mcp.engine.lease import Lease, LeaseTimes
from soc_deploy_mcp.engine.memory import defect
from soc_deploy_mcp.engine.running import Running
from soc_deploy_mcp.engine.runs import Run
from soc_deploy_mcp.engine.store import Tx

log = logging.getLogger(__name__)

Build = Callable[[Run], Walk]


class Opening(Noun):
    """A run to begin."""

    id: RunId
    target: Target
    verb: str  # deploy, rollback
    version: str | None
    subject: str  # uid:1000
    request_key: str  # core.request.same_request
    program: str
    args: Json
    entries: tuple[Entry, ...]  # its first rows: what was asked, by whom


@dataclass(frozen=True, slots=True)
class _Registered:
    build: Build
    replays: bool


class Runner:
    """One a process. The store is open before `start`, and closed after `stop`."""

    def __init__(
        self, journal: Journal, *, node: str, clock: Clock | None = None, times: LeaseTimes | None = None
    ) -> None:
        self.node = node
        self.trouble: DeployError | None = None  # why runs stand still, if they do
        self._journal = journal
        self._store = journal.store
        self._clock = clock or SystemClock()
        self._lease = Lease(self._clock, times or LeaseTimes())
        self._programs: dict[str, _Registered] = {}
        self._executions: dict[RunId, Running] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._claiming = asyncio.Lock()
        self._retreated: set[RunId] = set()
        self._alarm: asyncio.TimerHandle | None = None  # set to the end of our lease
        self._heard = 0  # the last signal that was passed on

    def register(self, program: str, build: Build, *, replays: bool = True) -> None:
        """Name a program, with its version: `deploy/1`. One that does not `replays` is a walk: it remembers nothing
        of an earlier execution. Runs of programs that are not registered are left alone."""
        self._programs[program] = _Registered(build, replays)

    @property
    def carrying(self) -> int:
        """How many runs this process carries now."""
        return len(self._executions)

    async def start(self) -> None:
        """Take up every run that nobody carries. Raises E_JOURNAL."""
        rows = await self._store.read(lambda tx: tx.one("select coalesce(max(id), 0) as last from signals"))
        self._heard = rows["last"] if rows else 0
        await self._beat()
        self._spawn(self._beating())
        self._spawn(self._store.watch(self._look_around))

    async def stop(self) -> None:
        """Let go of everything, at once; whoever starts next goes on. Nothing is journalled of it."""
        for running in self._executions.values():
            running.hold.lose()
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._alarm is not None:
            self._alarm.cancel()
        self._lease.given_up()
        with suppress(DeployError):  # a journal that cannot be written: then the lease runs out by itself
            await self._store.tx(lambda tx: lease.renew(tx, self.node, Instant(0.0)))

    async def submit(self, opening: Opening) -> tuple[Run, bool]:
        """Begin a run, or join the open run of an equal request: (run, joined). It is journalled when this returns.

        Raises E_LOW_DISK, E_JOURNAL; ValueError for a program that is not registered.
        """
        if opening.program not in self._programs:
            raise ValueError(f"program {opening.program} is not registered")
        open_ = await self._store.read(lambda tx: runs.twin(tx, opening.request_key))
        if open_ is not None:
            return open_, True
        await self._store.room()
        async with self._claiming:
            run, joined = await self._store.tx(lambda tx: self._open(tx, opening))
            if not joined and run.owner == self.node:
                self._execute(run)
        return run, joined

    async def signal(self, run: RunId, name: str, payload: Json = None, by: str = "") -> None:
        """Say something to a run; durable when this returns. Raises E_RUN_UNKNOWN, E_RUN_OVER, E_JOURNAL."""

        def work(tx: Tx) -> None:
            now = runs.load(tx, run)
            if now.state.terminal:
                why = "it takes no orders any more"
                raise DeployError("E_RUN_OVER", f"{run} is over: {now.state}", why, f"soc-deploy report {run}")
            signals.send(tx, self._journal, run, name, payload, by)

        await self._store.tx(work)

    async def wait(self, run: RunId, timeout: float | None = None) -> Run:
        """The run as it is when it is over, or after so many seconds. Raises E_RUN_UNKNOWN."""
        with self._journal.bell.listen(run) as news, suppress(TimeoutError):
            async with asyncio.timeout(timeout):
                while not (await self._load(run)).over:
                    await news.wait()
                    news.clear()
        return await self._load(run)

    # --- taking runs

    async def _beating(self) -> None:
        while True:
            await asyncio.sleep(self._lease.times.renew)
            try:
                await self._beat()
                self.trouble = None
            except DeployError as error:
                self.trouble = error
                log.warning("runs stand still: %s", error)
            except Exception as error:
                self.trouble = defect(error)
                log.exception("the beat failed")

    async def _beat(self) -> None:
        """Renew the lease, let go of what others took, take what nobody carries."""
        async with self._claiming:
            self._lapse()
            held = {id_: r for id_, r in self._executions.items() if not r.hold.lost}
            asked_at = self._clock.monotonic()
            gone, taken = await self._store.tx(lambda tx: self._renew(tx, held))
            self._lease.renewed(asked_at)
            for id_ in gone:
                held[id_].hold.lose()
            for run in taken:
                self._retreated.discard(run.id)
                self._execute(run)
            self._watch_lease()

    def _renew(self, tx: Tx, held: dict[RunId, Running]) -> tuple[list[RunId], list[Run]]:
        ttl = self._lease.times.ttl
        lease.renew(tx, self.node, Instant(self._store.now() + ttl))
        gone = lease.lost(tx, self.node, {id_: r.epoch for id_, r in held.items()})
        taken = lease.claim(tx, self._journal, self.node, held, self._programs, ttl)
        for run in taken:
            if run.id in self._retreated and run.holds:
                # it went back without a journal; remembered now, or it would go forward again
                reason = {"reason": "the journal could not be written"}
                signals.send(tx, self._journal, run.id, signals.ABORT, reason, "engine")
        return gone, taken

    def _lapse(self) -> None:
        """By our own clock the lease ends before anybody else may take the runs: stop them first."""
        if self._lease.left > 0:  # renewed meanwhile, or a timer that is a moment early
            self._watch_lease()
            return
        for running in self._executions.values():
            running.hold.lose()

    def _watch_lease(self) -> None:
        if self._alarm is not None:
            self._alarm.cancel()
        self._alarm = asyncio.get_running_loop().call_later(max(self._lease.left, 0.001), self._lapse)

    async def _look_around(self) -> None:
        """Another process wrote: pass on what it said, and let everybody look who follows a run."""
        query = "select id, run, name, payload, sent_by from signals where id>? order by id"
        for row in await self._store.read(lambda tx: tx.all(query, self._heard)):
            self._heard = row["id"]
            self._journal.bell.say(row["run"], signals.taken(row))
        self._journal.bell.ring_all()

    # --- carrying them

    def _open(self, tx: Tx, opening: Opening) -> tuple[Run, bool]:
        if (open_ := runs.twin(tx, opening.request_key)) is not None:
            return open_, True
        now, target = self._store.now(), opening.target
        said = opening.model_dump(exclude={"entries", "target"})
        run = Run(
            **said, target=target.id, project=target.project, service=target.service, environment=target.environment,
            state=State.DRAFT, created_at=now, updated_at=now,
        )  # fmt: skip
        runs.insert(tx, run)
        self._journal.append(tx, run.id, run.epoch, *opening.entries)
        if self._lease.left > 0:
            run = lease.take(tx, self._journal, self.node, run, now)
        return run, False

    def _execute(self, run: Run) -> None:
        running = Running(Seat(self.node, self._journal, self._clock, self._lease), run)
        self._executions[run.id] = running
        self._spawn(self._carry(run, running))

    async def _carry(self, run: Run, running: Running) -> None:
        try:
            with self._journal.bell.attend(run.id, running.hold.signalled):
                await self._play(run, running)
        finally:
            if running.hold.broken is not None and running.hold.returning:
                self._retreated.add(run.id)
            if self._executions.get(run.id) is running:
                del self._executions[run.id]

    async def _play(self, run: Run, running: Running) -> None:
        program = self._programs[run.program]
        try:
            await running.remember(program=run.program, replays=program.replays)
            if program.replays or not run.state.terminal:  # a walk that said its last word must not walk again
                await program.build(run)(running)
            if running.following is not None:
                self._execute(running.following)
            else:
                await running.hold.write(lambda tx: ending.finish(tx, self._journal, run.id))
        except Lost:
            log.info("%s is not ours any more", run.id)
        except Exception as error:
            await self._fail(run, running, error)

    async def _fail(self, run: Run, running: Running, error: Exception) -> None:
        """A program that raises ends its run, except for the journal's sake: then the next beat that can write takes
        the run up again."""
        if isinstance(error, DeployError) and error.code == "E_JOURNAL":
            self.trouble = error
            return
        if ending.is_defect(error):
            log.error("the program of %s failed", run.id, exc_info=error)
        with suppress(Lost, DeployError):
            await running.hold.write(lambda tx: ending.fail(tx, self._journal, run.id, error))

    async def _load(self, run: RunId) -> Run:
        return await self._store.read(lambda tx: runs.load(tx, run))

    def _spawn(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
