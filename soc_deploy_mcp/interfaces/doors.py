"""What every door needs from the application: the same object for the command line, MCP and the daemon.

The shapes are plain data, because two of the doors are on the other side of a socket.
"""

from collections.abc import AsyncIterator, Sequence
from typing import Any, Literal, Protocol

from soc_deploy_mcp.core.event import State
from soc_deploy_mcp.core.ids import Instant, PlanHash, RunId
from soc_deploy_mcp.core.model import Noun
from soc_deploy_mcp.core.request import Caller

Line = str | Sequence[str]  # as typed, or as an argument list
Verb = Literal["pause", "resume", "promote", "abort"]


class Waiting(Noun):
    """A run that waits for a person's yes."""

    question_id: str  # spent with the answer
    question: str  # deterministic text: run, plan, target, risky flags; no clock time
    command: str  # what a person types: soc-deploy approve RUN
    elicit: bool  # an answer given in the client is enough here
    expires_at: Instant


class RunView(Noun):
    """One run as a door shows it."""

    id: RunId
    state: State
    reason: str = ""
    line: str  # the command, canonical
    target: str  # shop/prod
    action: str
    version: str | None = None
    strategy: str | None = None
    dry_run: bool = False
    plan_hash: PlanHash | None = None
    created_at: Instant
    ended_at: Instant | None = None
    step: str = ""  # the row that is being worked on
    done: int = 0
    total: int = 0
    exit: int = 10  # exit code of the CLI if watching stopped now
    joined: bool = False  # this call joined a run that was open already
    undoes: bool = False  # a rollback was asked for, and is the abort of this deploy: rolled back is what was wanted
    waiting: Waiting | None = None
    next: tuple[str, ...] = ()  # what to do now, in order: commands for a person
    first_line: str = ""


class Progress(Noun):
    """One step of a run on its way, for somebody who follows it."""

    seq: int
    at: Instant
    text: str
    done: int
    total: int
    state: State
    stops: bool = False  # terminal, or waiting for a person: following ends here


class App(Protocol):
    """Built by app.py. Every method raises DeployError for what a person can act on."""

    async def begin(self, line: Line, caller: Caller) -> RunView:
        """Parse and start, or join the open run of an equal request. Returns as soon as the run is journalled."""
        ...

    async def view(self, run: str, caller: Caller) -> RunView:
        """A run by its id or an unambiguous beginning of it. E_RUN_UNKNOWN, also for a stranger's run."""
        ...

    async def runs(self, caller: Caller) -> tuple[RunView, ...]:
        """All open runs, then the last five finished ones."""
        ...

    def follow(self, run: str, caller: Caller, after: int = 0) -> AsyncIterator[Progress]:
        """What happened after row `after`, then what happens; ends with the first Progress that `stops`."""
        ...

    async def live(self, run: str, caller: Caller) -> dict[str, Any]:
        """A picture of the moment for the live view: steps, weights, requests and errors, the judge's evidence."""
        ...

    async def report(
        self, run: str, caller: Caller, form: Literal["markdown", "json"], limit: int | None = None
    ) -> str:
        """The report, or its running form. `limit` cuts long tables so that the text fits so many bytes."""
        ...

    async def journal(self, run: str, caller: Caller, as_is: bool = False) -> list[dict[str, Any]]:
        """All rows of a run, as plain JSON. Raises E_JOURNAL_BROKEN where they are not what was written, unless they
        are wanted `as_is`."""
        ...

    async def control(
        self, run: str, verb: Verb, caller: Caller, reason: str = "", *, unattended: bool = False
    ) -> RunView:
        """Pause, resume, promote, abort. Abort of a finished run is a no-op that says so in `first_line`."""
        ...

    async def approve(self, run: str, caller: Caller, channel: Literal["terminal", "elicitation"]) -> RunView:
        """A person's yes, for a run id or a plan hash (12 or more hex digits)."""
        ...

    async def reject(self, run: str, caller: Caller, reason: str) -> RunView: ...

    async def answer(self, run: str, question_id: str, approve: bool, reason: str, caller: Caller) -> RunView:
        """An answer given in the client, spent once: E_APPROVAL_USED for a question that was answered before."""
        ...

    async def releases(self, target: str, caller: Caller, limit: int = 10) -> dict[str, Any]:
        """The lineage of a target: `markdown` for people, `releases` for programs, what a rollback would choose."""
        ...

    async def logs(self, target: str, caller: Caller, lines: int = 100) -> list[dict[str, Any]]:
        """The end of each instance's output: `instance`, `release`, `text` (redacted, untrusted)."""
        ...

    def open_runs(self) -> int:
        """Runs that must not be left alone: the daemon does not exit while there are any."""
        ...
