"""The boxes at the end of a report: what is behind a tick, and what an open one says."""

import asyncio
from typing import Any

import pytest

from soc_deploy_mcp.core.config import Config
from soc_deploy_mcp.core.evidence import Check, CheckState
from soc_deploy_mcp.core.event import LineageChanged
from soc_deploy_mcp.core.ids import Instant
from soc_deploy_mcp.core.plan import Plan
from soc_deploy_mcp.core.release import Release
from soc_deploy_mcp.personas.pm import Desk, PmAgent
from tests.core.report.journals import begun, plan, rows


class Nothing:
    async def query(self, expr: str, at: Instant) -> list[Any]:
        return []


def boxes(of: Plan, log: str | None, serving: Release | None) -> dict[str, Check]:
    """The last checks of a run after which `serving` has users' requests; `log` is the output of the new release."""
    written: dict[str, str] = {}
    desk = Desk(
        notify=Config.read('services: {shop: {run: [serve, "{port}"]}}').notify,
        several=False,
        journal=lambda run: asyncio.sleep(0, ()),
        metrics=lambda target: Nothing(),  # type: ignore[arg-type,return-value]
        labels=lambda slug: __import__("soc_deploy_mcp.core.metrics", fromlist=["x"]).ArmLabels(),
        logs=lambda target, lines: [] if log is None else [("one", of.new.slug, log)],
        read_text=lambda path: "",
        write_text=written.__setitem__,
        runbook_path=".soc-deploy/runbooks/{service}.md",
        now=lambda: Instant(1_795_000_100.0),
    )
    changes = [(1.0, LineageChanged(change="active", release=serving))] if serving else []
    made = asyncio.run(PmAgent(desk).checks(of, rows(*begun(of), *changes)))
    return {check.id: check for check in made}
