"""What a rollout needs from outside, as its programs see it. Built by app.py, faked by tests."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from soc_deploy_mcp.actions.deploy.sight import EyesOf
from soc_deploy_mcp.core.config.service import Migration
from soc_deploy_mcp.core.event import Record, State
from soc_deploy_mcp.core.evidence import Check
from soc_deploy_mcp.core.plan import Plan
from soc_deploy_mcp.core.platform import Platform
from soc_deploy_mcp.core.release import Release, Target
from soc_deploy_mcp.engine.clock import Clock


@dataclass(frozen=True, slots=True)
class Ran:
    """A migration that was run."""

    exit_code: int
    seconds: float
    output: str  # redacted, untrusted
    checksum: str


class Migrations(Protocol):
    async def run(self, target: Target, release: Release, migration: Migration) -> Ran: ...


class Aftercare(Protocol):
    """What is done for people at the end of a run: files, messages, checks of logs and dashboards."""

    async def receipts(self, run: str, event: str, plan: Plan) -> Sequence[Check]:
        """Wait a little for the answers of the channels that were told; checks n.oncall and post.notified."""
        ...

    async def checks(self, plan: Plan, records: Sequence[Record]) -> tuple[Check, ...]:
        """Monitoring, logs, runbook: the boxes under Post-Deployment Actions."""
        ...

    async def output(self, target: Target, release: Release) -> Sequence[tuple[str, str]]:
        """(instance, end of its output) of a release, also of one whose instances are stopped; redacted, untrusted."""
        ...

    async def incident(self, plan: Plan, records: Sequence[Record], state: State) -> str:
        """Write the incident report; the path relative to the project."""
        ...


@dataclass
class World:
    platform: Platform
    eyes: EyesOf
    migrations: Migrations
    aftercare: Aftercare
    journal: Callable[[str], Awaitable[Sequence[Record]]]  # the rows of a run so far
    way_back: Callable[[Plan, State], Awaitable[dict[str, Any]]]  # a WayBackSeen: where a rollback would go from here
    clock: Clock
    run_dir: Path  # private files of this run: tick files
    board: dict[str, Any] = field(default_factory=dict)  # the moment, for the live view; never read by decisions
