"""The boxes at the end of a report: what is behind a tick, and what an open one says."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from soc_deploy_mcp.core.config import Config
from soc_deploy_mcp.core.errors import DeployError
from soc_deploy_mcp.core.event import LineageChanged
from soc_deploy_mcp.core.evidence import Check, CheckState
from soc_deploy_mcp.core.ids import Instant
from soc_deploy_mcp.core.metrics import ArmLabels
from soc_deploy_mcp.core.plan import Plan
from soc_deploy_mcp.core.release import Release
from soc_deploy_mcp.personas.pm import Desk, PmAgent
from tests.core.report.journals import begun, plan, rows


class Nothing:
    async def query(self, expr: str, at: Instant) -> list[Any]:
        return []


def boxes(
    of: Plan, log: str | None, serving: Release | None, write: Callable[[str, str], None] | None = None
) -> dict[str, Check]:
    """The last checks of a run after which `serving` has users' requests; `log` is the output of the new release."""
    written: dict[str, str] = {}
    desk = Desk(
        notify=Config.read('services: {shop: {run: [serve, "{port}"]}}').notify,
        several=False,
        journal=lambda run: asyncio.sleep(0, ()),
        metrics=lambda target: Nothing(),  # type: ignore[arg-type,return-value]
        labels=lambda slug: ArmLabels("envoy_cluster_name", (slug,)),
        logs=lambda target, slug, lines: [] if log is None or slug != of.new.slug else [("one", log)],
        read_text=lambda path: "",
        write_text=write or written.__setitem__,
        runbook_path=".soc-deploy/runbooks/{service}.md",
        now=lambda: Instant(1_795_000_100.0),
    )
    changes = [(1.0, LineageChanged(change="active", release=serving))] if serving else []
    made = asyncio.run(PmAgent(desk).checks(of, rows(*begun(of), *changes)))
    return {check.id: check for check in made}


def test_the_log_of_what_serves_is_checked() -> None:
    of = plan("A")
    check = boxes(of, "listening\nGET /\n", of.new)["post.logs"]
    assert (check.state, check.figure) == (CheckState.PASSED, "0 error lines in the last 2 lines of v1.2.0")


@pytest.mark.parametrize(
    ("log", "serves", "said"),
    [
        (None, True, "no log of v1.2.0 is there"),
        ("", True, "v1.2.0 wrote nothing"),
        ("cannot start\n", False, "which does not serve: soc-deploy logs shop/prod"),
        (
            "ERROR: no database\n",
            True,
            "1 error line in the last 1 line of v1.2.0, the first: ERROR: no database (untrusted)",
        ),
    ],
)
def test_an_empty_log_a_failed_release_and_errors_tick_nothing(log: str | None, serves: bool, said: str) -> None:
    of = plan("A")
    check = boxes(of, log, of.new if serves else None)["post.logs"]
    assert check.state is not CheckState.PASSED
    assert said in check.reason


def test_the_runbook_names_who_serves_before_it_says_that_nothing_changed() -> None:
    first = plan("A", first=True)
    assert boxes(first, None, None)["post.runbook"].reason == "nothing changed for it: nothing serves"
    of = plan("A")
    assert "the release before serves again" in boxes(of, None, of.old)["post.runbook"].reason
    assert boxes(of, None, of.new)["post.runbook"].state is CheckState.PASSED


def test_a_project_that_cannot_be_written_leaves_the_other_boxes_alone() -> None:
    def refuse(path: str, text: str) -> None:
        raise DeployError("E_WRITE", f"{path} was not written.", "read-only file system")

    of = plan("A")
    checks = boxes(of, "listening\n", of.new, refuse)
    assert checks["post.runbook"].reason == ".soc-deploy/runbooks/shop.md was not written. read-only file system"
    assert checks["post.logs"].state is CheckState.PASSED
