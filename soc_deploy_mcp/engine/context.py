"""What a program that carries out a plan may do. It has no clock, no I/O and no randomness of its own.

A program is an async function over `Context`. It is run again from its start after a crash; every verb returns what
it returned the first time, by the name of its step, so it arrives where it was.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Protocol

from soc_deploy_mcp.core.event import Payload
from soc_deploy_mcp.core.ids import Epoch, Instant, PlanHash, RunId, StepKey

Json = Any  # plain JSON values only


class Aborted(Exception):
    """Somebody asked the run to stop. Raised once, out of whatever verb is waiting; the way back follows."""

    def __init__(self, reason: str, by: str) -> None:
        super().__init__(reason)
        self.reason, self.by = reason, by


class Lost(Exception):
    """Another owner holds the run now. The program stops at once and writes nothing more."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """What an effect is called with. `first` is false when an earlier attempt may have happened: observe first."""

    epoch: Epoch
    number: int

    @property
    def first(self) -> bool:
        return self.number == 1


@dataclass(frozen=True, slots=True)
class Effect:
    """One change of the world. Idempotent and level-triggered: "make it so", never "add one"."""

    what: Json  # journalled as the intent before it starts
    run: Callable[[Attempt], Awaitable[Json]]
    timeout_s: float


@dataclass(frozen=True, slots=True)
class Taken:
    """A signal that was taken: its name, what came with it, who sent it."""

    name: str
    payload: Json
    by: str


class Watching(Protocol):
    """What a long observation may do while it runs."""

    @property
    def epoch(self) -> Epoch: ...

    @property
    def started_at(self) -> Instant:
        """When it first started, journalled: deadlines count from here, restarts do not move them."""
        ...

    @property
    def checkpoint(self) -> Json | None:
        """What `save` kept last, also before a restart."""
        ...

    def now(self) -> Instant: ...

    async def save(self, state: Json) -> None:
        """Overwrite the one checkpoint row of this step."""
        ...

    async def emit(self, event: Payload, key: str = "") -> None: ...

    async def pause(self, seconds: float) -> None:
        """Wait, woken early by any signal to the run."""
        ...

    async def take(self, *names: str) -> Taken | None:
        """The oldest untaken signal of these names; journalled as taken. Abort is never among them."""
        ...


@dataclass(frozen=True, slots=True)
class Activity:
    """A long observation (judge, verify, bake). Emits events and checkpoints; interrupted at once by abort."""

    what: Json
    run: Callable[[Watching], Awaitable[Json]]


class Context(Protocol):
    @property
    def run(self) -> RunId: ...

    @property
    def epoch(self) -> Epoch: ...

    def now(self) -> Instant:
        """The time of the last journalled row: the same again on replay."""
        ...

    async def act(self, key: StepKey, effect: Effect) -> Json:
        """A journalled effect: at least once, fenced. On replay the recorded result, without calling the effect.

        Raises Aborted before the effect starts or while it runs, Lost when the run has another owner, DeployError as
        the effect raised it (journalled; raised again on replay), TimeoutError past `timeout_s`.
        """
        ...

    async def watch(self, key: StepKey, activity: Activity) -> Json: ...

    async def wait(self, key: StepKey, names: tuple[str, ...], timeout: float) -> Taken | None:
        """Wait for a signal; None after `timeout` seconds from the first time it was asked. Holds nothing."""
        ...

    async def sleep(self, key: StepKey, seconds: float) -> None: ...

    async def emit(self, event: Payload, key: str) -> None:
        """A fact for the report, once per key: on replay it is not written again."""
        ...

    async def take(self, key: StepKey, *names: str) -> Taken | None:
        """A signal that waits already, or None at once; the same on replay."""
        ...

    async def past_abort(self) -> None:
        """From here on abort is recorded and changes nothing: everything was done."""
        ...

    async def way_back(self) -> None:
        """From here on abort is recorded and changes nothing: the way back is not interrupted."""
        ...


@dataclass(frozen=True, slots=True)
class Passage:
    """What a walk passes the gate with."""

    program: str  # carries the run on from here: deploy/1
    args: Json  # what that program is built from
    plan_hash: PlanHash
    baseline: str  # digest of the target as it is now: what an approval was given for
    approval: str | None  # id; None where nobody is asked


class Walking(Context, Protocol):
    """The context of a walk, which decides and changes nothing. After a crash it starts anew and remembers nothing."""

    async def pass_gate(self, passage: Passage) -> None:
        """Consume the approval, take the target's lock, a new epoch and state RUNNING: all at once or not at all.

        The last thing a walk does; the run goes on with `passage.program`. Raises E_LOCKED with the holder,
        E_APPROVAL_*, Aborted, Lost.
        """
        ...


Program = Callable[[Context], Awaitable[None]]
Walk = Callable[[Walking], Awaitable[None]]
