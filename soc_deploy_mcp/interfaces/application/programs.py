"""The programs that carry runs, built for one run each: the walk to the gate, then deploy or rollback."""

import logging
from collections.abc import Awaitable, Sequence
from pathlib import Path
from typing import Any

from soc_deploy_mcp.actions.deploy import lineage as lin
from soc_deploy_mcp.actions.deploy import migrations as mig
from soc_deploy_mcp.actions.deploy.eyes import PlatformEyes
from soc_deploy_mcp.actions.deploy.plan import HOT_BACK_S
from soc_deploy_mcp.actions.deploy.program import carry_out
from soc_deploy_mcp.actions.deploy.world import Ran, World
from soc_deploy_mcp.core.config.plain_secrets import refuse_secrets
from soc_deploy_mcp.core.config.service import Migration
from soc_deploy_mcp.core.config.settings import Notify
from soc_deploy_mcp.core.errors import DeployError
from soc_deploy_mcp.core.event import PlanMade, Record, RunOpened, State, WayBackSeen, payload
from soc_deploy_mcp.core.evidence import Evidence
from soc_deploy_mcp.core.ids import RunId
from soc_deploy_mcp.core.plan import Plan
from soc_deploy_mcp.core.release import Release, Target
from soc_deploy_mcp.core.request import Caller, Request
from soc_deploy_mcp.engine import runs as rows
from soc_deploy_mcp.engine.context import Context, Walk, Walking
from soc_deploy_mcp.engine.runs import Run
from soc_deploy_mcp.interfaces.application import records
from soc_deploy_mcp.interfaces.application.parts import Parts
from soc_deploy_mcp.personas.devops import Devops
from soc_deploy_mcp.personas.pm import Desk, PmAgent
from soc_deploy_mcp.personas.reading import Reading
from soc_deploy_mcp.personas.walk import Errand, walk
from soc_deploy_mcp.tools import migrations
from soc_deploy_mcp.tools.project import writing

log = logging.getLogger(__name__)


class Programs:
    def __init__(self, parts: Parts) -> None:
        self.parts = parts

    # --- before the gate

    def walk(self, run: Run) -> Walk:
        async def program(ctx: Walking) -> None:
            request = Request.from_json(run.args["request"])
            caller = Caller.from_json(run.args["caller"])
            target = Target.from_json(run.args["target"])
            async with self.parts.watched(target):
                lead = await self._lead(run, request, target)
                await walk(ctx, Errand(request, caller, lead, self.parts.approvals))
            await self._left(run)

        return program

    async def _lead(self, run: Run, request: Request, target: Target) -> Devops:
        config, config_digest = self.parts.config(target.project)
        assert request.environment is not None
        settings = config.settings(target.service, request.environment)
        refuse_secrets(target.service, settings.spec, self.parts.redactor)

        async def holder() -> DeployError | None:
            held_by = await self.parts.runs.holder(target.id)
            return rows.locked(held_by, self.parts.clock.wall()) if held_by and held_by.id != run.id else None

        def tests(plan: Plan) -> Awaitable[Sequence[Evidence]]:
            return self.parts.run_tests(plan, config)

        return Devops(self.reading(), settings, target, config_digest, holder, tests)

    def reading(self) -> Reading:
        p = self.parts
        return Reading(p.platform, p.journal, p.runs, p.secrets, p.environ, p.clock)

    # --- behind the gate

    def carry(self, run: Run) -> Walk:
        async def program(ctx: Context) -> None:
            seen = await self.parts.journal.load(run.id)
            plan = next(p.plan for r in reversed(seen) if isinstance(p := payload(r), PlanMade))
            opened = payload(seen[0])
            assert isinstance(opened, RunOpened)
            for release in filter(None, (plan.new, plan.old)):  # after a restart nobody has resolved them yet
                self.parts.secrets.know(release.spec.secrets.values())
            async with self.parts.watched(plan.target):
                try:
                    await carry_out(ctx, plan, self._world(run, plan, several=opened.several))
                finally:
                    self.parts.boards.pop(run.id, None)
            await self._left(run)

        return program

    async def _left(self, run: Run) -> None:
        """The files of a run that is over. What cannot be written now is written at the next start."""
        try:
            await records.leave(self.parts, run)
        except Exception as error:  # the run is over, and how it ended stands in the journal
            log.warning("the files of %s could not be written: %s", run.id, error)

    def _world(self, run: Run, plan: Plan, *, several: bool) -> World:
        p = self.parts
        return World(
            platform=p.platform,
            eyes=lambda made: PlatformEyes(p.platform, made, p.clock),
            migrations=_Migrations(p),
            aftercare=PmAgent(self._desk(plan, several=several)),
            journal=self._rows,
            way_back=self._way_back,
            clock=p.clock,
            run_dir=p.home / "runs" / run.id,
            board=p.boards.setdefault(run.id, {}),
        )

    async def _rows(self, run: str) -> Sequence[Record]:
        return await self.parts.journal.load(RunId(run))

    def _desk(self, plan: Plan, *, several: bool) -> Desk:
        p, project = self.parts, Path(plan.target.project)
        try:
            config, _ = p.config(plan.target.project)
            notify, path = config.notify, config.monitor.runbook
        except DeployError:  # the file changed or went after the gate: the run goes on, nobody is told
            notify, path = Notify(), ".soc-deploy/runbooks/{service}.md"
        return Desk(
            notify=notify,
            several=several,
            journal=self._rows,
            metrics=p.platform.metrics,
            labels=p.platform.labels,
            logs=lambda target, slug, lines: [
                (name, p.redactor.text(text)) for name, _, text in p.platform.logs(target, lines, slug)
            ],
            read_text=lambda relative: _read(project, relative),
            write_text=lambda relative, text: _write(project, relative, p.redactor.text(text)),
            runbook_path=path,
            now=p.clock.wall,
        )

    async def _way_back(self, plan: Plan, state: State) -> dict[str, Any]:
        """What serves now, and where a further rollback would go."""
        reading, target = self.reading(), plan.target
        history = await reading.history(target)
        current = history.lineage.current
        gone = {life.release.slug: await reading.retrievable(target, life.release) for life in _stable(history.lineage)}
        way = lin.previous_stable(
            history.lineage,
            current.release.slug if current else None,
            lambda release: gone.get(release.slug, ""),
            lambda life: mig.risk_after(life, history.applied),
        )
        measured = sorted(history.back_s)
        estimate = measured[min(len(measured) - 1, int(0.9 * len(measured)))] if measured else HOT_BACK_S
        return WayBackSeen(
            current=current.release.version if current else None,
            back=way.release.version if way.release else None,
            why=way.why,
            estimate_s=estimate if way.release else None,
            basis="measured on this target" if measured else "start, smoke and one router write",
        ).to_json()


class _Migrations:
    """Runs one migration in its release's directory, with the release's environment and secrets."""

    def __init__(self, parts: Parts) -> None:
        self.parts = parts

    async def run(self, target: Target, release: Release, migration: Migration) -> Ran:
        directory = await self.parts.platform.seal(target, release)
        ran = await migrations.run(
            migration,
            release=directory,
            env=self.parts.platform.environment(release),
            timeout=release.spec.prepare_timeout_s,
            redactor=self.parts.redactor,
            lock=self.parts.platform.place(target).root / "migration.lock",
        )
        return Ran(ran.exit_code, ran.seconds, ran.output, migrations.checksum(migration, directory))


def _read(project: Path, relative: str) -> str:
    path = writing.inside(project, relative)
    return path.read_text() if path.is_file() else ""


def _write(project: Path, relative: str, text: str) -> None:
    writing.folder(project)  # with its own .gitignore, so that the user's tracked files are not touched
    writing.write(project, relative, text)


def _stable(lineage: lin.Lineage) -> list[lin.Life]:
    return [life for life in lineage.lives.values() if life.stable_position is not None]
