"""The live view: steps, weights, requests and errors of each version, the judge's evidence. Painted from what the
application shows; decides nothing, holds nothing."""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING, Any

from soc_deploy_mcp.interfaces.cli.link import Link

if TYPE_CHECKING:
    from rich.console import RenderableType

PAINT_S = 0.5
SIGNS = {"ok": "[green]✓[/]", "failed": "[red]✗[/]", "running": "[yellow]●[/]", "planned": "·", "not_run": "·"}
WORDS = {"ACCEPT": "green", "REJECT": "red", "ABSOLUTE": "red", "CRASH": "red", "BUDGET": "red"}


def watch(link: Link, run_id: str, after: int) -> int:
    """Paint until the run stops; the number of the last row that was seen."""
    from rich.console import Console
    from rich.live import Live

    console = Console(stderr=True)
    with Live(console=console, auto_refresh=False, transient=True) as painted:
        last = 0.0
        for event in link.follow(run_id, after, tick=PAINT_S):
            if event is not None:
                after = event["seq"]
                if event["text"]:
                    painted.console.print(f"[dim]{_clock(event['at'])}[/] {_escaped(event['text'])}", highlight=False)
            if time.monotonic() - last >= PAINT_S * 0.8:
                painted.update(picture(link.call("live", run=run_id)), refresh=True)
                last = time.monotonic()
    return after


def picture(shown: dict[str, Any]) -> RenderableType:
    """One moment. Pure: the same data gives the same picture."""
    from rich.console import Group
    from rich.panel import Panel
    from rich.text import Text

    view = shown["run"]
    head = Text.assemble((f"{view['action']} {view['version'] or ''} ", "bold"), f"{view['target']}  {view['state']}")
    parts: list[RenderableType] = [_steps(shown["steps"], shown["now"], shown.get("since"))]
    if releases := shown.get("platform", {}).get("releases"):
        parts.append(_releases(releases, shown["board"]))
    if shown["board"].get("readings"):
        parts.append(_evidence(shown["board"], shown["now"]))
    return Panel(Group(*parts), title=head, title_align="left", subtitle=view["id"][:16], subtitle_align="right")


def _steps(steps: list[dict[str, Any]], now: float, since: float | None) -> RenderableType:
    from rich.table import Table

    table = Table.grid(padding=(0, 1))
    for row in steps:
        seconds = "" if row["duration_s"] is None else f"[dim]{row['duration_s']:.1f}s[/]"
        if row["status"] == "running" and since is not None:
            seconds = f"[dim]{max(0.0, now - since):.0f}s …[/]"
        table.add_row(SIGNS[row["status"]], _escaped(row["action"]), seconds)
    return table


def _releases(releases: list[dict[str, Any]], board: dict[str, Any]) -> RenderableType:
    from rich.table import Table

    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    for name in ("release", "weight", "", "ready", "requests", "errors", "restarts"):
        table.add_column(name, justify="left" if name in ("release", "") else "right")
    counted = _counted(board)
    for release in releases:
        weight = release["weight"]
        bar = "" if weight is None else "█" * round(weight / 5)
        requests, errors = counted.get("new" if release["weight"] == board.get("weight") else "old", ("", ""))
        table.add_row(
            release["version"],
            "?" if weight is None else f"{weight} %",
            f"[cyan]{bar}[/]",
            f"{release['ready']}/{release['instances']}",
            requests,
            errors,
            str(release["restarts"]),
        )
    return table


def _counted(board: dict[str, Any]) -> dict[str, tuple[str, str]]:
    """Requests and errors of each side in this step, as the judge counted them."""
    readings = [r for r in board.get("readings", ()) if r["metric"] in ("errors", "synthetic_errors")]
    if not readings:
        return {}
    best = max(readings, key=lambda r: r["canary"][0])
    sides = {"new": best["canary"], "old": best["baseline"] or (0, 0)}
    return {side: (f"{n:,}", f"[red]{x:,}[/]" if x else "0") for side, (n, x) in sides.items()}


def _evidence(board: dict[str, Any], now: float) -> RenderableType:
    """One line a metric: counts of both sides, and how far each proof is."""
    from rich.table import Table

    from soc_deploy_mcp.core.report.text import metric

    color = WORDS.get(board["word"], "yellow")
    title = f"[{color}]{board['word']}[/] {metric(board['metric'])} {board['reason'].replace('_', ' ')}"
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim", title_justify="left")
    table.title = f"judge at {board['weight']} %, {now - board['since']:.0f} s: {title}"
    for name in ("metric", "new", "old", "worse", "safe"):
        table.add_column(name, justify="left" if name == "metric" else "right")
    for reading in board["readings"]:
        table.add_row(
            metric(reading["metric"]) + ("" if reading["required"] else " [dim](watched)[/]"),
            _counts(reading["canary"]),
            _counts(reading["baseline"]),
            _proof(reading["ln_worse"], reading["ln_worse_needed"], "red"),
            _safe(reading),
        )
    return table


def _safe(reading: dict[str, Any]) -> str:
    if reading["accepted"]:
        return "[green]accepted[/]"
    return _proof(reading["ln_safe"], reading["ln_safe_needed"], "green")


def _counts(pair: list[int] | None) -> str:
    return "—" if pair is None else f"{pair[1]:,}/{pair[0]:,}"


def _proof(ln_e: float | None, needed: float | None, color: str) -> str:
    """A small bar: how much of the evidence that is needed is there. Logs, so that ten times the odds is one step."""
    if ln_e is None or needed is None or not math.isfinite(needed) or needed <= 0:
        return "—"
    share = min(1.0, max(0.0, ln_e / needed))
    full = round(8 * share)
    return f"[{color}]{'▰' * full}[/]{'▱' * (8 - full)}"


def _escaped(text: str) -> str:
    return text.replace("[", "\\[")


def _clock(at: float) -> str:
    return time.strftime("%H:%M:%S", time.gmtime(at))
