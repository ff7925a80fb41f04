"""What devops-agent reads, answered from a fake world: a repository in which every version exists, a machine with room,
and a journal in memory."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from soc_deploy_mcp.actions.deploy import lineage as lin
from soc_deploy_mcp.actions.deploy.migrations import Applied
from soc_deploy_mcp.actions.deploy.readers import History, Traffic
from soc_deploy_mcp.actions.deploy.sight import Figures
from soc_deploy_mcp.core.canonical import digest
from soc_deploy_mcp.core.config import ServiceSpec, Settings
from soc_deploy_mcp.core.event import GENESIS, LineageChanged, Record
from soc_deploy_mcp.core.evidence import Evidence, observed
from soc_deploy_mcp.core.ids import Epoch, Instant, RunId
from soc_deploy_mcp.core.plan import Plan
from soc_deploy_mcp.core.release import Artifact, Release, Target
from tests.fakes.platform import FakePlatform

Change = Literal["registered", "live", "active", "stable", "retired", "quarantined"]
FINISHED: tuple[Change, ...] = ("registered", "live", "active", "stable")  # what a deploy that succeeds leaves
BEGAN = 1_690_000_000.0


def artifact_of(version: str) -> Artifact:
    return Artifact(
        kind="git",
        source="/srv/shop",
        commit=digest(version)[:40],
        digest=digest([version]),
        provenance=f"git commit {digest(version)[:7]} (tag {version})",
    )


def release(version: str, spec: ServiceSpec) -> Release:
    return Release(version=version, artifact=artifact_of(version), spec=spec)


@dataclass
class FakeReaders:
    """`actions.deploy.readers.Readers`. What a test wants otherwise it sets."""

    platform: FakePlatform
    rows: list[tuple[Record, LineageChanged]] = field(default_factory=list)
    applied: dict[str, Applied] = field(default_factory=dict)
    lost: dict[str, str] = field(default_factory=dict)  # version -> why its files cannot be had
    checksums: dict[str, str] = field(default_factory=dict)
    missing_secrets: tuple[str, ...] = ()
    unfinished: str = ""
    back_s: tuple[float, ...] = ()
    rps: float | None = None
    metrics_up: bool | None = True  # None: nothing is there to be asked
    asked: list[str] = field(default_factory=list)

    # --- building the past

    def happened(self, release: Release, *changes: Change, why: str = "") -> None:
        """Rows of the journal, a minute apart."""
        for change in changes:
            said = LineageChanged(change=change, release=release, why=why)
            position = len(self.rows)
            record = Record(
                seq=position + 1,
                run=RunId(f"run_{position:032x}"),
                epoch=Epoch(1),
                at=Instant(BEGAN + 60 * position),
                kind="lineage",
                key=str(position),
                payload=said.to_json(),
                prev_hash=GENESIS,
                hash=digest(position),
            )
            self.rows.append((record, said))

    def at(self, version: str, change: Change) -> Instant:
        """When that happened to a version, the last time."""
        return max(record.at for record, said in self.rows if (said.release.version, said.change) == (version, change))

    # --- the Protocol

    async def artifact(self, target: Target, spec: ServiceSpec, version: str) -> tuple[Artifact, Sequence[Evidence]]:
        self.asked.append(f"artifact {version}")
        return artifact_of(version), ()

    async def retrievable(self, target: Target, release: Release) -> str:
        self.asked.append(f"retrievable {release.version}")
        return self.lost.get(release.version, "")

    async def migrations(self, target: Target, release: Release) -> dict[str, str]:
        return dict(self.checksums)

    async def history(self, target: Target) -> History:
        return History(lin.fold(self.rows), dict(self.applied), self.unfinished, self.back_s)

    async def machine(self, target: Target, spec: ServiceSpec, instances: int) -> Sequence[Evidence]:
        kinds = (("capability", target.name), ("capacity", target.name), ("toolchain", "linux"), ("identity", "uid:1"))
        return (
            *(self._seen(kind, subject) for kind, subject in kinds),
            self._seen("permission", target.name),
            self._seen("secrets", target.name, {"missing": list(self.missing_secrets)}),
        )

    async def metrics(self, target: Target) -> Evidence | None:
        return None if self.metrics_up is None else self._seen("metrics", target.name, {"up": self.metrics_up})

    async def traffic(self, target: Target, active: Release, settings: Settings) -> Traffic:
        return Traffic(rps=self.rps)

    async def figures(self, plan: Plan, release: Release) -> Figures:
        return Figures(12.0, 0.0, 1000, 0, 0.1, 0.2)

    def now(self) -> Instant:
        return self.platform.clock.wall()

    def _seen(self, kind: str, subject: str, data: dict[str, object] | None = None) -> Evidence:
        return observed(kind, subject, tool="fake", query=kind, figure=f"{kind} is fine", at=self.now(), data=data)
