"""What devops-agent reads of the world before it plans: the repository, the machine, the metrics, the journal."""

import asyncio
import os
import platform as machine
import shutil
import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from soc_deploy_mcp.actions.deploy import lineage as lin
from soc_deploy_mcp.actions.deploy import migrations as mig
from soc_deploy_mcp.actions.deploy.baseline import requests_a_second
from soc_deploy_mcp.actions.deploy.eyes import PlatformEyes
from soc_deploy_mcp.actions.deploy.program import BY_HAND
from soc_deploy_mcp.actions.deploy.readers import History, Traffic
from soc_deploy_mcp.actions.deploy.sight import Figures
from soc_deploy_mcp.core.config import ServiceSpec, Settings
from soc_deploy_mcp.core.config.service import GitArtifact
from soc_deploy_mcp.core.errors import DeployError
from soc_deploy_mcp.core.event import GoingBack, LineageChanged, Record, TrafficBack, payload
from soc_deploy_mcp.core.evidence import Evidence, observed
from soc_deploy_mcp.core.ids import Instant
from soc_deploy_mcp.core.metrics import SourceDown
from soc_deploy_mcp.core.plan import Plan
from soc_deploy_mcp.core.release import Artifact, Release, Target
from soc_deploy_mcp.engine.clock import Clock
from soc_deploy_mcp.engine.history import History as Runs
from soc_deploy_mcp.engine.journal import Journal
from soc_deploy_mcp.tools.git import Reader as Git
from soc_deploy_mcp.tools.local import LocalPlatform, artifacts
from soc_deploy_mcp.tools.metrics import QUERIES
from soc_deploy_mcp.tools.metrics.counts import Unknown
from soc_deploy_mcp.tools.metrics.history import Measured as Counted
from soc_deploy_mcp.tools.metrics.history import recent
from soc_deploy_mcp.tools.migrations import checksum
from soc_deploy_mcp.tools.secrets import Secrets

TRAFFIC_S = 30.0
LOOK_TWICE = 12  # quarters of a second
CONFIG_FILE = "soc-deploy.yaml"


@dataclass
class Reading:
    """`actions.deploy.readers.Readers` over the local platform."""

    platform: LocalPlatform
    journal: Journal
    runs: Runs
    secrets: Secrets
    environ: Mapping[str, str]
    clock: Clock

    def now(self) -> Instant:
        return self.clock.wall()

    # --- the artifact

    async def artifact(self, target: Target, spec: ServiceSpec, version: str) -> tuple[Artifact, Sequence[Evidence]]:
        project = Path(target.project)
        if not isinstance(spec.artifact, GitArtifact):
            found = await artifacts.resolve(spec.artifact, version, project)
            return found, ()
        changed = await self._clean(project / spec.artifact.git)
        return await artifacts.resolve(spec.artifact, version, project), changed

    async def _clean(self, repository: Path) -> Sequence[Evidence]:
        """A tracked file with changes would not be in the release: that is said before, not found out after."""
        changes = await Git(repository, self.environ).changes()
        others = [path for path in changes if Path(path).name != CONFIG_FILE]
        if others:
            shown = ", ".join(others[:3]) + (f" and {len(others) - 3} more" if len(others) > 3 else "")
            raise DeployError(
                "E_DIRTY",
                f"{len(others)} tracked file(s) have changes that the release would not contain: {shown}",
                "a release is a commit, not a working tree",
                f"git -C {repository} commit -a -m 'your message'\ngit -C {repository} stash",
            )
        note = f"{CONFIG_FILE} has uncommitted changes, which count" if changes else "no tracked file has changes"
        return (observed("worktree", str(repository), tool="git", query="git status", figure=note, at=self.now()),)

    async def retrievable(self, target: Target, release: Release) -> str:
        if self.platform.retrievable(target, release.slug):
            return ""
        with tempfile.TemporaryDirectory(prefix="soc-look-") as scratch:
            try:
                await artifacts.fetch(release.artifact, Path(scratch))
            except DeployError as error:
                return f"its files are gone ({error.what})"
        return ""

    async def migrations(self, target: Target, release: Release) -> dict[str, str]:
        declared = release.spec.migrations
        if not declared:
            return {}
        with tempfile.TemporaryDirectory(prefix="soc-look-") as scratch:
            await artifacts.fetch(release.artifact, Path(scratch))
            return {m.id: checksum(m, Path(scratch)) for m in declared}

    # --- the journal

    async def history(self, target: Target) -> History:
        rows = await self.journal.of_target(target.id, ("lineage", "migration", "decided", "emitted"))
        holder = await self.runs.holder(target.id)
        changes = ((row, change) for row in rows if isinstance(change := payload(row), LineageChanged))
        return History(
            lineage=lin.fold(changes),
            applied=mig.fold([row for row in rows if row.kind == "migration"]),
            unfinished=holder.id if holder else "",
            back_s=_ways_back(rows),
        )

    # --- the machine

    async def machine(self, target: Target, spec: ServiceSpec, instances: int) -> Sequence[Evidence]:
        looked = await self.platform.inspect(target, spec)
        figures = {e.subject: e.figure for e in looked}
        able = self.platform.capabilities(target)
        named = ", ".join(n for n in ("hold", "spill", "dead_man") if getattr(able, n))
        room = f"{figures['memory']}; disk {figures['disk']}; {figures['files']}"
        tools = f"{figures['router']}, Python {machine.python_version()}, {_git_version()}"
        uid = f"uid:{os.getuid()}"
        return (
            *looked,
            self._seen("capability", target.name, "capabilities", named.replace("dead_man", "dead-man timer")),
            self._seen("capacity", target.name, f"room for {2 * instances} instances", room),
            self._seen("toolchain", sys.platform, "versions", tools),
            self._seen("identity", uid, "user of this process", f"{uid} on {machine.node()}"),
            self._seen("permission", target.name, "state home, entry", f"{figures['home']}; {figures['entry']}"),
            self._secrets(target, spec),
        )

    def _secrets(self, target: Target, spec: ServiceSpec) -> Evidence:
        missing = [reference for reference in spec.secrets.values() if not self.secrets.exists(reference)]
        figure = f"{len(spec.secrets)} reference(s), {len(missing)} without a value" if spec.secrets else "none used"
        return self._seen("secrets", target.name, "look, do not keep", figure, {"missing": missing})

    def _seen(
        self, kind: str, subject: str, query: str, figure: str, data: dict[str, object] | None = None
    ) -> Evidence:
        return observed(kind, subject, tool="local", query=query, figure=figure, at=self.now(), data=data)

    # --- the metrics

    async def metrics(self, target: Target) -> Evidence | None:
        health = await self.platform.metrics(target).health()
        if not health or not self.platform.place(target).boot.exists():
            return None  # nothing was deployed here yet, so there is nobody to be asked
        down = [h for h in health if not h.up]
        figure = f"{len(health) - len(down)} of {len(health)} pages answer"
        if down:
            figure += f"; {down[0].name}: {down[0].error or 'never read'}"
        router = next((h for h in health if h.name == "router"), None)
        return self._seen("metrics", target.name, "scrape health", figure, {"up": router is not None and router.up})

    async def traffic(self, target: Target, active: Release, settings: Settings) -> Traffic:
        seen = await self._counted(target, active)
        if isinstance(seen, Unknown):
            return Traffic()
        source, labels = self.platform.metrics(target), self.platform.labels(active.slug)
        rps = await requests_a_second(source, QUERIES["envoy"], labels, self.now()) or 0.0
        figure = f"{rps:.1f} requests/s to {active.version}, {seen.requests.x} of {seen.requests.n} failed"
        evidence = self._seen("traffic", target.name, f"router counters, {TRAFFIC_S:.0f} s", figure)
        return Traffic(rps=rps, error_rate=seen.error_ratio, evidence=evidence)

    async def _counted(self, target: Target, active: Release) -> Counted | Unknown:
        """The last seconds of users' requests. A daemon that was just started has to look twice first."""
        source, labels = self.platform.metrics(target), self.platform.labels(active.slug)
        seen: Counted | Unknown = Unknown("not asked")
        for _ in range(LOOK_TWICE):
            with suppress(SourceDown):
                seen = await recent(source, QUERIES["envoy"], labels, self.now(), TRAFFIC_S)
            if not isinstance(seen, Unknown):
                break
            await asyncio.sleep(0.25)
        return seen

    async def figures(self, plan: Plan, release: Release) -> Figures:
        return await PlatformEyes(self.platform, plan, self.clock).figures(release.slug, TRAFFIC_S)


def _ways_back(rows: Sequence[Record]) -> tuple[float, ...]:
    """Seconds from a rollback's beginning until all traffic was back, as measured in rollbacks by hand: those started
    the release first, as the next one will have to."""
    by_hand = {row.run for row in rows if isinstance(p := payload(row), GoingBack) and p.code == BY_HAND}
    return tuple(p.seconds for row in rows if isinstance(p := payload(row), TrafficBack) and row.run in by_hand)


def _git_version() -> str:
    return "git" if shutil.which("git") else "no git"
