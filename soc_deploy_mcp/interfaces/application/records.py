"""The files people find after a run: its report, the deployment log, old releases cleared away. Projections of the
journal, so writing one again gives the same bytes."""

import json
import logging
from collections.abc import Sequence
from pathlib import Path

from soc_deploy_mcp.actions.deploy import lineage as lin
from soc_deploy_mcp.core.event import LineageChanged, Record, RunOpened, State, payload
from soc_deploy_mcp.core.release import Target
from soc_deploy_mcp.core.report import Report, markdown, project
from soc_deploy_mcp.core.report import log as deployments
from soc_deploy_mcp.core.report.log import LogLine
from soc_deploy_mcp.engine.runs import Run
from soc_deploy_mcp.interfaces.application.parts import Parts
from soc_deploy_mcp.tools.project import writing

log = logging.getLogger(__name__)

LOGGED = 200  # runs in DEPLOYMENTS.md


async def leave(parts: Parts, run: Run) -> None:
    """Write what belongs to a run that is over. Raises DeployError when the project cannot be written."""
    run = await parts.runs.get(run.id)
    if not run.state.terminal or run.state is State.DRY_RUN:
        return
    records = await parts.journal.load(run.id)
    report = project(records)
    _report(parts, run, report)
    _log(parts, run, report)
    if run.state is State.SUCCEEDED:
        await _tidy(parts, records)


def _report(parts: Parts, run: Run, report: Report) -> None:
    root = Path(run.project)
    writing.folder(root)
    text = parts.redactor.text(markdown(report))
    data = parts.redactor.text(report.model_dump_json(by_alias=True, indent=2)) + "\n"
    writing.write(root, f".soc-deploy/reports/{run.id}.md", text)
    writing.write(root, f".soc-deploy/reports/{run.id}.json", data)


def _log(parts: Parts, run: Run, report: Report) -> None:
    """One line a run in the state home, replaced when it is written again; the project's view of them beside it."""
    path = parts.home / "deployments.jsonl"
    kept = [LogLine.from_json(json.loads(text)) for text in path.read_text().splitlines()] if path.exists() else []
    lines = [each for each in kept if each.run != run.id]
    if report.summary.plan_hash is None and lines == kept:
        return  # nothing was planned, so nothing was deployed
    if report.summary.plan_hash is not None:
        lines.append(deployments.line(report, run.project, run.service))
    writing.write(parts.home, path.name, "".join(json.dumps(each.to_json()) + "\n" for each in lines))
    mine = [each for each in lines if each.project == run.project]
    text = parts.redactor.text(deployments.markdown(mine[-LOGGED:]))
    writing.write(Path(run.project), ".soc-deploy/DEPLOYMENTS.md", text)


async def _tidy(parts: Parts, records: Sequence[Record]) -> None:
    """Note what became stable and delete the oldest releases; never one that a rollback could need."""
    opened = payload(records[0])
    assert isinstance(opened, RunOpened)
    target: Target = opened.target
    stable = [p.release for r in records if isinstance(p := payload(r), LineageChanged) and p.change == "stable"]
    for release in stable:
        parts.platform.activate(target, release.slug)
    rows = await parts.journal.of_target(target.id, ("lineage",))
    lineage = lin.fold((row, p) for row in rows if isinstance(p := payload(row), LineageChanged))
    current, before = lineage.current, lineage.stable
    pinned = [life.release.slug for life in (current, before) if life is not None]
    way = lin.previous_stable(lineage, lineage.active, lambda release: "", lambda life: "")
    if way.release is not None:
        pinned.append(way.release.slug)
    if current is not None:
        await parts.platform.prune(target, current.release.spec.keep_releases, pinned)


async def catch_up(parts: Parts, limit: int = 20) -> None:
    """After a start: runs that ended in a process that died before it wrote their files. Whatever is wrong with them
    is no reason not to start: the journal has it all, and other runs wait to be carried on."""
    for run in await parts.runs.finished(limit):
        try:
            if _has_project(run) and not _has_report(run):
                await leave(parts, run)
        except Exception as error:
            log.warning("the files of %s could not be written: %s", run.id, error)


def _has_project(run: Run) -> bool:
    return Path(run.project).is_dir()


def _has_report(run: Run) -> bool:
    return (Path(run.project) / f".soc-deploy/reports/{run.id}.md").exists()
