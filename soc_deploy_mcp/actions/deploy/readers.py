"""What gather() may ask. Reads only: a dry run and every review are free of side effects by construction."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from soc_deploy_mcp.actions.deploy.lineage import Lineage
from soc_deploy_mcp.actions.deploy.migrations import Applied
from soc_deploy_mcp.actions.deploy.sight import Figures
from soc_deploy_mcp.core.config import ServiceSpec, Settings
from soc_deploy_mcp.core.evidence import Evidence
from soc_deploy_mcp.core.ids import Instant
from soc_deploy_mcp.core.plan import Plan
from soc_deploy_mcp.core.platform import PlatformReader
from soc_deploy_mcp.core.release import Artifact, Release, Target


@dataclass(frozen=True, slots=True)
class History:
    """What the journal knows of a target."""

    lineage: Lineage
    applied: dict[str, Applied]
    unfinished: str = ""  # id of another run that holds the target
    back_s: tuple[float, ...] = ()  # seconds that measured rollbacks took, decision to verified


@dataclass(frozen=True, slots=True)
class Traffic:
    """Users' requests to the active release, as far as anybody counted. None: unknown."""

    rps: float | None = None
    error_rate: float | None = None
    evidence: Evidence | None = None


class Readers(Protocol):
    @property
    def platform(self) -> PlatformReader: ...

    async def artifact(self, target: Target, spec: ServiceSpec, version: str) -> tuple[Artifact, Sequence[Evidence]]:
        """Resolve a version and fix its digest. E_REF_NOT_FOUND, E_NO_REPOSITORY, E_DIRTY, E_ARTIFACT."""
        ...

    async def retrievable(self, target: Target, release: Release) -> str:
        """ "" when the files of a release can be had, else why not."""
        ...

    async def migrations(self, target: Target, release: Release) -> dict[str, str]:
        """Checksums of a release's declared migrations, by id."""
        ...

    async def history(self, target: Target) -> History: ...

    async def machine(self, target: Target, spec: ServiceSpec, instances: int) -> Sequence[Evidence]:
        """Router, ports, disk, memory, files, identity. Raises the errors of a machine that cannot do it."""
        ...

    async def metrics(self, target: Target) -> Evidence | None:
        """Does the metric source answer with samples? None: nothing is there to be asked yet."""
        ...

    async def traffic(self, target: Target, active: Release, settings: Settings) -> Traffic: ...

    async def figures(self, plan: Plan, release: Release) -> Figures:
        """Response time, errors, CPU, memory of a release just now; unknown where nobody counted."""
        ...

    def now(self) -> Instant: ...


@dataclass(frozen=True, slots=True)
class Gathered:
    """The world as it is, typed for the planner; `evidence` is the same for checks and for the journal."""

    settings: Settings
    target: Target
    new: Release
    old: Release | None  # None: nothing serves, or the same release does and lacks something
    no_change: bool  # the release serves everybody already, with all its instances
    history: History
    traffic: Traffic
    hot: bool  # rollback: instances of `new` are still ready
    old_down: bool = False  # deploy: `old` has users' requests, and the router says that nobody answers them
    checksums: dict[str, str] = field(default_factory=dict)
    gone: dict[str, str] = field(default_factory=dict)  # slug -> why its files cannot be had
    evidence: tuple[Evidence, ...] = ()
    warnings: tuple[str, ...] = ()
