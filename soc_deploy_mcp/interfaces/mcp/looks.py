"""Answers that are about no single run, as Markdown and as data."""

from collections.abc import Sequence
from typing import Any

from soc_deploy_mcp.core import times
from soc_deploy_mcp.interfaces.doors import RunView
from soc_deploy_mcp.interfaces.mcp.outcome import Outcome, of_look, status_call


def of_runs(views: Sequence[RunView], note: str = "") -> Outcome:
    """Open runs first, then the last that ended."""
    rows = [f"| {view.id} | {_cell(view.line)} | {_state(view)} | {times.minute(view.created_at)} |" for view in views]
    table = ["| run | command | state | since |", "|---|---|---|---|", *rows]
    data: dict[str, Any] = {"runs": [_short(view) for view in views]} | ({"note": note} if note else {})
    open_runs = [view for view in views if not view.state.terminal]
    return of_look("\n".join(table) if rows else "No runs yet.", data, [status_call(view.id) for view in open_runs[:3]])


def of_releases(found: dict[str, Any], note: str = "") -> Outcome:
    data = {key: value for key, value in found.items() if key != "markdown"} | ({"note": note} if note else {})
    return of_look(str(found.get("markdown", "")), data)


def _short(view: RunView) -> dict[str, Any]:
    return {
        "run_id": view.id,
        "target": view.target,
        "action": view.action,
        "version": view.version or "",
        "state": view.state.value.lower(),
        "step": view.step,
    }


def _state(view: RunView) -> str:
    where = f" ({_cell(view.step)}, {view.done}/{view.total})" if view.step and not view.state.terminal else ""
    return view.state.value.lower() + where


def _cell(text: str) -> str:
    return " ".join(text.replace("|", "\\|").split())
