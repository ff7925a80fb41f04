"""The files of runs that are over: written later where they could not be written at once."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from soc_deploy_mcp.core.event import State
from soc_deploy_mcp.core.ids import Instant, RunId, TargetId
from soc_deploy_mcp.engine.runs import Run
from soc_deploy_mcp.interfaces.application import records


def run(number: int, project: Path) -> Run:
    said: dict[str, Any] = {"service": "shop", "environment": "prod", "verb": "deploy", "version": "v1.1.0"}
    return Run(
        id=RunId(f"run_{number}"), target=TargetId("t"), project=str(project), subject="uid:1000",
        request_key=str(number), program="deploy/1", args=None, state=State.SUCCEEDED, created_at=Instant(1.0),
        updated_at=Instant(2.0), **said,
    )  # fmt: skip


async def test_files_that_cannot_be_written_keep_no_daemon_from_its_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A log line of another version, a project that nobody may look into: every start ended, and no run went on."""
    left: list[str] = []

    async def leave(parts: Any, run: Run) -> None:
        if run.id == "run_1":
            raise ValueError("no line of the log")
        left.append(run.id)

    async def finished(limit: int) -> list[Run]:
        return [run(1, tmp_path), run(2, tmp_path / ("x" * 300)), run(3, tmp_path)]

    monkeypatch.setattr(records, "leave", leave)
    await records.catch_up(SimpleNamespace(runs=SimpleNamespace(finished=finished)))  # type: ignore[arg-type]
    assert left == ["run_3"]
